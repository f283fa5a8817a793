/* usage: json FILE KEY[.KEY...]   prints one value of a JSON file, for system tests.
 * A key of digits counts into an array.  Exit status 1 when there is no such value. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    json_error_t where;
    json_t *all = argc == 3 ? json_load_file(argv[1], JSON_DECODE_ANY, &where) : NULL;
    json_t *at = all;

    for (char *key = argc == 3 ? strtok(argv[2], ".") : NULL; at && key; key = strtok(NULL, "."))
        at = json_is_array(at) ? json_array_get(at, (size_t)atol(key)) : json_object_get(at, key);
    if (!at) {
        json_decref(all);
        return 1;
    }
    if (json_is_string(at)) {
        puts(json_string_value(at));
    } else {
        char *text = json_dumps(at, JSON_ENCODE_ANY | JSON_SORT_KEYS);

        puts(text ? text : "");
        free(text);
    }
    json_decref(all);
    return 0;
}
