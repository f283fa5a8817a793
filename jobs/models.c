/* models: which model files there are, their hashes and licences, and whether they are here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/options.h"
#include "jobs/json_text.h"
#include "jobs/model_list.h"
#include "jobs/models_run.h"
#include "jobs/verbs.h"

static json_t *as_json(const fm_model_entry *m, const char *state)
{
    char hex[FM_DIGEST_HEX];

    fm_digest_hex(&m->sha256, hex);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:s}", "name", m->name, "file", m->file, "sha256", hex, "bytes",
                     (json_int_t)m->bytes, "licence", m->licence, "source", m->source, "purpose", m->purpose, "path",
                     fm_json_text(m->path), "state", state);
}

static void print_words(const fm_model_entry *m, const char *state, const fm_err *why)
{
    char hex[FM_DIGEST_HEX];

    fm_digest_hex(&m->sha256, hex);
    printf("%s: %s\n    %s\n    file     %s, %llu bytes\n    sha256   %s\n    licence  %s\n    source   %s\n    %s\n", m->name,
           state, m->purpose, m->file, (unsigned long long)m->bytes, hex, m->licence, m->source,
           why->code ? why->text : m->path);
}

static int list(bool json, fm_err *err)
{
    fm_model_list *models = malloc(sizeof *models);
    json_t *all = json_array();
    bool whole = true;
    char *text;
    int rc = models ? fm_model_list_read(models, err) : fm_fail_nomem(err, "model list", sizeof *models);

    for (size_t i = 0; rc == 0 && i < models->n; i++) {
        fm_err why = FM_ERR_INIT;
        const char *state = fm_model_check(&models->v[i], &why) == 0 ? "here"
                            : models->v[i].path[0]                  ? "damaged"
                                                                    : "missing";

        whole = whole && why.code == 0;
        if (json)
            json_array_append_new(all, as_json(&models->v[i], state));
        else
            print_words(&models->v[i], state, &why);
    }
    if (rc == 0 && json && (text = json_dumps(all, JSON_INDENT(2)))) {
        puts(text);
        free(text);
    }
    json_decref(all);
    free(models);
    return rc != 0 ? FM_EXIT_INPUT : whole ? FM_EXIT_DONE : FM_EXIT_NOT_HELD;
}

int fm_verb_models(int argc, char **argv)
{
    bool json = false;
    const fm_option options[] = {{"json", FM_OPT_FLAG, &json, 0, 0, NULL, "print the list as JSON"}};
    const fm_command command = {"models [options]",
                                "Lists the model files, checks their SHA-256 and says what their licences allow.\n"
                                "Exit status 1 when one is missing or another than listed.",
                                options, 1, 0, 0};
    fm_err err = FM_ERR_INIT;
    int rc, status;

    if (argc > 1 && strcmp(argv[1], "run") == 0)
        return fm_models_run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "show") == 0)
        return fm_models_show(argc - 1, argv + 1);
    if ((rc = fm_command_parse(&command, argc, argv, NULL, &err)) != 0)
        return fm_command_exit(rc, &err);
    status = list(json, &err);
    if (status == FM_EXIT_INPUT)
        fprintf(stderr, "facemill models: %s\n", err.text);
    return status;
}
