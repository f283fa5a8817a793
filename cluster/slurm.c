/* What SLURM grants is asked of SLURM: node lists ("n[1-3,07]") are expanded by
 * scontrol, whose rules they are, and PMIx is looked for in what srun lists. */
#include "cluster/slurm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cluster/environment.h"
#include "cluster/process.h"

#define COMMAND_MS 20000
#define NODES_MAX 65536

void fm_slurm_fini(fm_slurm *s)
{
    free(s->nodes);
    memset(s, 0, sizeof *s);
}

uint32_t fm_slurm_cpus_of(const char *text, uint32_t i)
{
    while (text && *text) {
        unsigned long cpus, times = 1;
        char *end;

        cpus = strtoul(text, &end, 10);
        if (end == text)
            return 0;
        if (end[0] == '(' && end[1] == 'x') {
            times = strtoul(end + 2, &end, 10);
            end += *end == ')';
        }
        if (i < times)
            return cpus <= UINT32_MAX ? (uint32_t)cpus : 0;
        i -= (uint32_t)times;
        text = *end == ',' ? end + 1 : "";
    }
    return 0;
}

uint64_t fm_slurm_memory_of(const char *per_node, const char *per_cpu, uint32_t cpus)
{
    int64_t mib;

    if (per_node && fm_parse_int(per_node, 1, INT64_MAX >> 20, &mib))       /* 0: all that the node has */
        return (uint64_t)mib << 20;
    if (per_cpu && fm_parse_int(per_cpu, 1, INT32_MAX, &mib))
        return ((uint64_t)mib << 20) * cpus;
    return UINT64_MAX;
}

bool fm_slurm_names_pmix(const char *text)
{
    for (; (text = strstr(text, "pmix")); text += 4) {
        char after = text[4];

        if (after == '\0' || strchr(" \n\t,_", after))
            return true;
    }
    return false;
}

bool fm_slurm_node_up(const char *text, const char *name)
{
    static const char *const off[] = {"down", "fail", "unk", "boot", "pow_dn"};
    size_t n = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        bool up;

        line += *line == '\n';
        if (strncmp(line, name, n) != 0 || line[n] != ' ')
            continue;
        line += n + strspn(line + n, " ");
        up = line[strcspn(line, "*\n")] != '*';
        for (size_t i = 0; i < sizeof off / sizeof *off; i++)
            up = up && strncmp(line, off[i], strlen(off[i])) != 0;
        return up;
    }
    return false;
}

/* A SLURM command's output as a string.  words end with NULL. */
static int ask(const char *program, const char *const *words, fm_buf *out, fm_err *err)
{
    fm_words argv = FM_WORDS_INIT, env = FM_WORDS_INIT;
    char path[FM_PATH_MAX];
    int rc;

    if (!fm_program_find(program, path, sizeof path))
        return fm_fail(err, -EIO, "in a SLURM allocation, but %s is not in $PATH", program);
    fm_words_add(&argv, path);
    for (; *words; words++)
        fm_words_add(&argv, *words);
    fm_environment_copy(&env);
    rc = fm_process_capture(&argv, &env, COMMAND_MS, out, err);
    fm_buf_u8(out, 0);
    if (rc == 0 && out->failed)
        rc = fm_fail_nomem(err, program, out->size);
    fm_words_fini(&argv);
    fm_words_fini(&env);
    return rc;
}

static int add_node(fm_slurm *s, const char *name, uint32_t cpus, fm_err *err)
{
    fm_slurm_node *grown;

    if (s->n == NODES_MAX || strlen(name) >= FM_NODE_NAME_MAX)
        return fm_fail(err, -EBADMSG, "scontrol names more nodes, or a longer one, than there can be");
    grown = realloc(s->nodes, (s->n + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "nodes", (s->n + 1) * sizeof *grown);
    s->nodes = grown;
    snprintf(grown[s->n].name, sizeof grown[s->n].name, "%s", name);
    grown[s->n].gone = false;
    grown[s->n].cpus = cpus ? cpus : 1;
    grown[s->n].memory = fm_slurm_memory_of(getenv("SLURM_MEM_PER_NODE"), getenv("SLURM_MEM_PER_CPU"), grown[s->n].cpus);
    s->n++;
    return 0;
}

static int list_nodes(fm_slurm *s, const char *list, fm_err *err)
{
    const char *cpus = getenv("SLURM_JOB_CPUS_PER_NODE");
    fm_buf text = FM_BUF_INIT;
    char *save = NULL, *name;
    int rc = ask("scontrol", (const char *[]){"show", "hostnames", list, NULL}, &text, err);

    name = rc == 0 ? strtok_r((char *)text.data, " \t\n", &save) : NULL;
    for (; rc == 0 && name; name = strtok_r(NULL, " \t\n", &save))
        rc = add_node(s, name, fm_slurm_cpus_of(cpus, s->n), err);
    if (rc == 0 && s->n == 0)
        rc = fm_fail(err, -EBADMSG, "scontrol names no nodes for \"%s\"", list);
    fm_buf_fini(&text);
    return rc;
}

/* This host's node goes to the front: one crew is then a local one. */
static void put_own_first(fm_slurm *s)
{
    const char *own = getenv("SLURMD_NODENAME");
    char host[FM_NODE_NAME_MAX] = "";

    if (!own && gethostname(host, sizeof host - 1) == 0) {
        host[strcspn(host, ".")] = '\0';
        own = host;
    }
    for (uint32_t i = 0; own && i < s->n; i++) {
        fm_slurm_node node = s->nodes[i];

        if (strcmp(node.name, own) != 0)
            continue;
        s->nodes[i] = s->nodes[0];
        s->nodes[0] = node;
        s->here = true;
        return;
    }
}

int fm_slurm_find(fm_slurm *out, fm_err *err)
{
    const char *job = getenv("SLURM_JOB_ID"), *list = getenv("SLURM_JOB_NODELIST");
    fm_buf text = FM_BUF_INIT;
    fm_slurm s = {0};
    int rc;

    if (!job || !list || !job[0] || !list[0])
        return fm_fail(err, -ENOENT, "not in a SLURM allocation");
    rc = list_nodes(&s, list, err);
    if (rc == 0)
        rc = ask("srun", (const char *[]){"--mpi=list", NULL}, &text, err);
    if (rc == 0) {
        put_own_first(&s);
        s.pmix = fm_slurm_names_pmix((const char *)text.data);
        *out = s;
    } else {
        fm_slurm_fini(&s);
    }
    fm_buf_fini(&text);
    return rc;
}

int fm_slurm_look(fm_slurm *s, fm_err *err)
{
    const char *job = getenv("SLURM_JOB_ID");
    fm_buf list = FM_BUF_INIT, states = FM_BUF_INIT;
    int rc = ask("squeue", (const char *[]){"--noheader", "--jobs", job ? job : "", "--format=%N", NULL}, &list, err);

    if (rc == 0) {
        char *nodes = (char *)list.data;

        nodes[strcspn(nodes, "\n")] = '\0';
        rc = ask("sinfo", (const char *[]){"--noheader", "--Node", "--format=%N %t", "--nodes", nodes, NULL}, &states, err);
    }
    for (uint32_t i = 0; rc == 0 && i < s->n; i++)
        s->nodes[i].gone = !fm_slurm_node_up((const char *)states.data, s->nodes[i].name);
    fm_buf_fini(&list);
    fm_buf_fini(&states);
    return rc;
}
