/* What the files that read a study share: keys as table rows, and the sections that
 * have a file of their own. */
#ifndef FM_JOBS_STUDY_PARTS_H
#define FM_JOBS_STUDY_PARTS_H

#include "jobs/study.h"
#include "jobs/yaml.h"

#define KEY(kind_, struct_, member, name, low_, high_) \
    {name, FM_YAML_##kind_, offsetof(struct_, member), low_, high_, NULL, false}
#define NEED(kind_, struct_, member, name, low_, high_) \
    {name, FM_YAML_##kind_, offsetof(struct_, member), low_, high_, NULL, true}
#define CHOICE(struct_, member, name, list, required_) \
    {name, FM_YAML_CHOICE, offsetof(struct_, member), 0, 0, list, required_}
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Sections `encoder`, `head` and `evaluate`, after the cohorts.  Errors: -EINVAL with file and line. */
int fm_study_read_encoder(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err);
/* The recipe's key `mask`. */
int fm_study_read_mask(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err);
int fm_study_read_head(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err);
int fm_study_read_evaluate(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err);
/* `explain`: none, or what there is to it. */
int fm_study_read_explain(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err);

#endif
