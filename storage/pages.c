/* LMDB 0.9 files, as its mdb.c lays them out (data version 1, 64-bit).
 *
 * Two meta pages; the one with the greater transaction number counts, and names
 * the roots of two B+trees: free pages and data.  Every page number, node and
 * value that the trees hold must lie inside what it lies in.  Pages of large
 * values are bounded but not read: LMDB looks at nothing in them but the value.
 * Values themselves are checked by whoever reads them.
 *
 * Rejected: a handler for SIGBUS (process-wide, and what it jumps out of is lost);
 * checking the file's size only, which flipped bits in a page pass. */
#include "storage/pages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0xBEEFC0DEu
#define DATA_VERSION 1
#define PAGE_BYTES_MIN 256u
#define PAGE_BYTES_MAX 32768u
#define DEPTH_MAX 32            /* LMDB's cursors go no deeper */
#define NO_PAGE UINT64_MAX      /* root of an empty tree */

#define KEY_BYTES_MAX 511       /* LMDB writes no longer ones */

enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_META = 0x08 };
enum { NODE_BIG = 0x01 };       /* the value has pages of its own */
enum { TREE_INTEGER_KEY = 0x08, ENV_NOSUBDIR = 0x4000 };
enum { PAGE_HEADER = 16, NODE_HEADER = 8, META_BYTES = 152, META_FREE = 40, META_MAIN = 88, META_LAST = 136,
       META_TXN = 144 };

_Static_assert(sizeof(size_t) == 8, "LMDB's pages are laid out for 64 bits here");

typedef struct {
    uint16_t flags, depth;
    uint64_t branches, leaves, entries, root;
} tree;

typedef struct {
    uint32_t page_bytes;
    tree free_pages, main;
    uint64_t last, txnid;
} meta;

typedef struct {
    int fd;
    const char *path;
    fm_err *err;
    uint64_t file_bytes, last;
    uint32_t page_bytes;
    uint8_t *pages;         /* one a level; owned */
    const tree *tree;
    bool free_pages;        /* values are lists of page numbers that LMDB follows */
    bool only_grown;
    uint64_t branches, leaves, entries;     /* seen so far */
    const uint8_t *bound;   /* the key that leads to the next leaf, n_bound long; NULL: no key does */
    size_t n_bound, n_before;
    uint8_t before[KEY_BYTES_MAX];          /* key of the leaf node seen last */
} walk;

static uint16_t u16_at(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint32_t u32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t u64_at(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* n bytes at a place; 1 when the file ends before. */
static int read_at(int fd, uint64_t at, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (uint8_t *)out + done, n - done, (off_t)(at + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 1;
        done += (size_t)got;
    }
    return 0;
}

static tree tree_at(const uint8_t *p)
{
    return (tree){.flags = u16_at(p + 4), .depth = u16_at(p + 6), .branches = u64_at(p + 8), .leaves = u64_at(p + 16),
                  .entries = u64_at(p + 32), .root = u64_at(p + 40)};
}

static bool meta_parse(const uint8_t page[META_BYTES], meta *out)
{
    const uint8_t *p = page + PAGE_HEADER;
    uint32_t page_bytes = u32_at(page + META_FREE);

    if (!(u16_at(page + 10) & PAGE_META) || u32_at(p) != MAGIC || u32_at(p + 4) != DATA_VERSION)
        return false;
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX || (page_bytes & (page_bytes - 1)) != 0)
        return false;
    *out = (meta){page_bytes, tree_at(page + META_FREE), tree_at(page + META_MAIN), u64_at(page + META_LAST),
                  u64_at(page + META_TXN)};
    /* Neither duplicate keys nor a fixed address are ever asked for. */
    return (out->free_pages.flags & ~ENV_NOSUBDIR) == TREE_INTEGER_KEY && out->main.flags == 0 && out->last >= 1 &&
           out->last < UINT64_MAX / PAGE_BYTES_MAX;
}

static int read_metas(int fd, const char *path, meta m[2], fm_err *err)
{
    uint8_t page[META_BYTES];
    int rc = 0;

    memset(m, 0, 2 * sizeof *m);
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = read_at(fd, i ? m[0].page_bytes : 0, page, sizeof page);
        if (rc == 0 && !meta_parse(page, &m[i]))
            rc = 1;
    }
    if (rc < 0)
        return fm_fail(err, rc, "%s: cannot read: %s", path, strerror(-rc));
    if (rc > 0 || m[0].page_bytes != m[1].page_bytes)
        return fm_fail(err, -EBADMSG, "%s: not an LMDB file of ours, or its first pages are damaged", path);
    return 0;
}

int fm_pages_check_first(int fd, const char *path, fm_err *err)
{
    meta m[2];

    return read_metas(fd, path, m, err);
}

/* The meta page that counts, as LMDB chooses it, or the one with this transaction number. */
static int meta_choose(int fd, const char *path, uint64_t txnid, meta *out, fm_err *err)
{
    meta m[2];
    int newest, rc = read_metas(fd, path, m, err);

    if (rc != 0)
        return rc;
    newest = m[0].txnid < m[1].txnid;
    if (txnid != 0 && m[newest].txnid != txnid)
        newest = !newest;
    if (txnid != 0 && m[newest].txnid != txnid)
        return fm_fail(err, -EAGAIN, "%s: changed while it was checked; try again", path);
    *out = m[newest];
    return 0;
}

static int damaged(const walk *w, uint64_t page, const char *what)
{
    return fm_fail(w->err, -EBADMSG, "%s: page %llu: %s", w->path, (unsigned long long)page, what);
}

static int read_page_bytes(const walk *w, uint64_t page, size_t at, void *out, size_t n)
{
    int rc = read_at(w->fd, page * w->page_bytes + at, out, n);

    if (rc > 0)
        return damaged(w, page, "the file is cut short before it");
    return rc < 0 ? fm_fail(w->err, rc, "%s: cannot read: %s", w->path, strerror(-rc)) : 0;
}

/* A list of free pages: a count, then so many numbers. */
static int check_free_list(const walk *w, uint64_t page, uint64_t count, uint32_t value_bytes)
{
    if (value_bytes < 8 || count > value_bytes / 8 - 1)
        return damaged(w, page, "a list of free pages is longer than its place");
    return 0;
}

static int check_big_value(const walk *w, uint64_t page, const uint8_t *value, uint32_t value_bytes)
{
    uint64_t first = u64_at(value), count;
    int rc;

    if (first < 2 || first > w->last || first * w->page_bytes + PAGE_HEADER + value_bytes > w->file_bytes)
        return damaged(w, page, "a value lies outside the file");
    if (!w->free_pages)
        return 0;
    rc = read_page_bytes(w, first, PAGE_HEADER, &count, sizeof count);
    return rc != 0 ? rc : check_free_list(w, first, count, value_bytes);
}

/* What a node takes of its page, as LMDB rounds it. */
static uint64_t node_bytes(const uint8_t *node, bool leaf)
{
    uint64_t bytes = NODE_HEADER + u16_at(node + 6);

    if (leaf)
        bytes += u16_at(node + 4) & NODE_BIG ? 8 : u16_at(node) | (uint32_t)u16_at(node + 2) << 16;
    return bytes + (bytes & 1);
}

static int compare_keys(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b)
{
    int order = memcmp(a, b, n_a < n_b ? n_a : n_b);

    return order ? order : (n_a > n_b) - (n_a < n_b);
}

/* Keys rise, and what branches say of them is so: a changed key would lead searches astray and harm nothing else.
 * Where nothing was ever removed, the key that leads to a leaf is that of its first node. */
static int check_order(walk *w, uint64_t page, const uint8_t *node)
{
    const uint8_t *key = node + NODE_HEADER;
    size_t n = u16_at(node + 6);
    int against_bound = w->bound ? compare_keys(key, n, w->bound, w->n_bound) : 0;

    if (n > KEY_BYTES_MAX)
        return damaged(w, page, "a key is longer than any that is written");
    if (w->entries > 0 && compare_keys(w->before, w->n_before, key, n) >= 0)
        return damaged(w, page, "its keys are out of order");
    if (against_bound < 0 || (w->only_grown && against_bound != 0) ||
        (w->bound && compare_keys(w->before, w->n_before, w->bound, w->n_bound) >= 0))
        return damaged(w, page, "a key above it does not lead here");
    w->bound = NULL;
    memcpy(w->before, key, n);
    w->n_before = n;
    return 0;
}

static int check_leaf_node(walk *w, uint64_t page, const uint8_t *node)
{
    uint32_t value_bytes = u16_at(node) | (uint32_t)u16_at(node + 2) << 16;
    const uint8_t *value = node + NODE_HEADER + u16_at(node + 6);
    int rc;

    if ((u16_at(node + 4) & ~NODE_BIG) != 0 || (w->free_pages && u16_at(node + 6) != 8))
        return damaged(w, page, "a node of a kind that is never written");
    if (!w->free_pages && (rc = check_order(w, page, node)) != 0)
        return rc;
    w->entries++;
    if (u16_at(node + 4) & NODE_BIG)
        return check_big_value(w, page, value, value_bytes);
    return w->free_pages ? check_free_list(w, page, value_bytes < 8 ? 0 : u64_at(value), value_bytes) : 0;
}

static int walk_page(walk *w, uint64_t page, unsigned level);

static int walk_child(walk *w, const uint8_t *node, unsigned level)
{
    uint64_t child = u16_at(node) | (uint64_t)u16_at(node + 2) << 16 | (uint64_t)u16_at(node + 4) << 32;

    return walk_page(w, child, level + 1);
}

/* The first node of a branch has no key: whatever leads to the branch leads there. */
static int walk_children(walk *w, uint64_t page, const uint8_t *b, unsigned level, unsigned n)
{
    int rc = 0;

    for (unsigned i = 0; i < n && rc == 0; i++) {
        const uint8_t *node = b + u16_at(b + PAGE_HEADER + 2 * i);

        if (i == 0 && u16_at(node + 6) != 0 && !w->free_pages)
            return damaged(w, page, "its first node has a key");
        if (i > 0) {
            w->bound = node + NODE_HEADER;
            w->n_bound = u16_at(node + 6);
        }
        rc = walk_child(w, node, level);
    }
    return rc;
}

/* Counted against what the tree says it has, so that pages that point at each other cannot hold us. */
static int count_page(walk *w, uint64_t page, bool leaf)
{
    uint64_t *seen = leaf ? &w->leaves : &w->branches;

    if (++*seen > (leaf ? w->tree->leaves : w->tree->branches))
        return damaged(w, page, "the tree has more pages than it says");
    return 0;
}

/* Header, node places and node sizes: what reading, and writing too, takes on trust. */
static int check_layout(const walk *w, uint64_t page, const uint8_t *b, bool leaf)
{
    uint32_t lower = u16_at(b + 12), upper = u16_at(b + 14);
    uint64_t used = 0, bytes;
    uint32_t nodes = lower < PAGE_HEADER ? 0 : (lower - PAGE_HEADER) / 2;

    if (u64_at(b) != page || u16_at(b + 10) != (leaf ? PAGE_LEAF : PAGE_BRANCH) || lower < PAGE_HEADER ||
        (lower & 1) || upper < lower || upper > w->page_bytes)
        return damaged(w, page, "its header is damaged");
    if (nodes < (leaf || w->free_pages ? 1 : 2))    /* LMDB asserts two, but not among free pages */
        return damaged(w, page, "it holds too few nodes");
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t at = u16_at(b + PAGE_HEADER + 2 * i);

        if (at < upper || at + NODE_HEADER > w->page_bytes || (at & 1))
            return damaged(w, page, "a node lies outside its page");
        bytes = node_bytes(b + at, leaf);
        if (bytes > w->page_bytes - at || bytes > w->page_bytes - upper - used)
            return damaged(w, page, "a node leaves its page");
        used += bytes;
    }
    if (used != w->page_bytes - upper)
        return damaged(w, page, "its nodes do not fill their place");
    return 0;
}

static int walk_page(walk *w, uint64_t page, unsigned level)
{
    uint8_t *b = w->pages + (size_t)level * w->page_bytes;
    bool leaf = level + 1 == w->tree->depth;
    unsigned nodes;
    int rc;

    if (page < 2 || page > w->last)
        return damaged(w, page, "a page number outside the file");
    if ((rc = count_page(w, page, leaf)) != 0 || (rc = read_page_bytes(w, page, 0, b, w->page_bytes)) != 0 ||
        (rc = check_layout(w, page, b, leaf)) != 0)
        return rc;
    nodes = (u16_at(b + 12) - (unsigned)PAGE_HEADER) / 2;
    if (!leaf)
        return walk_children(w, page, b, level, nodes);
    for (unsigned i = 0; i < nodes && rc == 0; i++)
        rc = check_leaf_node(w, page, b + u16_at(b + PAGE_HEADER + 2 * i));
    return rc;
}

static int walk_tree(walk *w, const tree *t, bool free_pages)
{
    int rc = 0;

    w->tree = t;
    w->free_pages = free_pages;
    w->branches = w->leaves = w->entries = 0;
    w->bound = NULL;
    if (t->depth > DEPTH_MAX || (t->root == NO_PAGE) != (t->depth == 0))
        return damaged(w, t->root, "the root is damaged");
    if (t->root != NO_PAGE)
        rc = walk_page(w, t->root, 0);
    if (rc == 0 && (w->branches != t->branches || w->leaves != t->leaves || w->entries != t->entries))
        rc = damaged(w, t->root, "the tree holds less than it says");
    return rc;
}

int fm_pages_check(int fd, const char *path, uint64_t txnid, bool only_grown, fm_pages *out, fm_err *err)
{
    walk w = {.fd = fd, .path = path, .only_grown = only_grown, .err = err};
    struct stat st;
    meta m;
    int rc = meta_choose(fd, path, txnid, &m, err);

    if (rc != 0)
        return rc;
    if (fstat(fd, &st) != 0)
        return fm_fail(err, -errno, "%s: cannot stat: %s", path, strerror(errno));
    w.file_bytes = (uint64_t)st.st_size;
    w.last = m.last;
    w.page_bytes = m.page_bytes;
    w.pages = malloc((size_t)DEPTH_MAX * m.page_bytes);
    if (!w.pages)
        return fm_fail_nomem(err, path, (uint64_t)DEPTH_MAX * m.page_bytes);
    rc = walk_tree(&w, &m.main, false);
    if (rc == 0)
        rc = walk_tree(&w, &m.free_pages, true);
    free(w.pages);
    if (rc == 0)
        *out = (fm_pages){m.txnid, m.main.entries, (m.last + 1) * m.page_bytes, w.file_bytes};
    return rc;
}
