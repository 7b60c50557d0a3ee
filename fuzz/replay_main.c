/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Runs a fuzz target without libFuzzer, built by any compiler: over files, over seeded inputs (valid ones, most of
 * them changed), or writes a corpus. See usage(). */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define SEED          20261123u
#define INPUT_MAX     ((size_t)1 << 20)
#define SEED_FILE_MAX 1024

static kb_rand rand_state;

static void usage(FILE *out)
{
    fputs("usage: replay_TARGET [--inputs N] [FILE | DIR]...\n"
          "       replay_TARGET --make-corpus DIR N\n"
          "\n"
          "Runs the target over each file, then over N seeded inputs; ends by a signal where a "
          "property\n"
          "does not hold. --make-corpus writes N small valid inputs.\n",
          out);
}

static void fail(const char *path)
{
    perror(path);
    exit(1);
}

/* ---- seeded inputs ---- */

/* What libFuzzer has, but simpler: some bytes changed, now and then a cut. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    (void)max_size;
    for (uint64_t n = kb_rand_below(&rand_state, 4); n > 0 && size > 0; n--)
        data[kb_rand_below(&rand_state, size)] = (uint8_t)kb_rand_u64(&rand_state);
    if (size > 0 && kb_rand_below(&rand_state, 4) == 0)
        size = kb_rand_below(&rand_state, size);
    return size;
}

static size_t change(uint8_t *data, size_t size, size_t max_size)
{
    uint64_t times = kb_rand_below(&rand_state, 3);
    for (; times > 0; times--)
        size = LLVMFuzzerCustomMutator ? LLVMFuzzerCustomMutator(data, size, max_size,
                                                                 (unsigned)kb_rand_u64(&rand_state))
                                       : LLVMFuzzerMutate(data, size, max_size);
    return size;
}

/* An input in memory of exactly its size, so that a read behind its end is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    if (!exact)
        fail("malloc");
    if (size > 0)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void run_seeded(kb_buf *buf, long count)
{
    static uint8_t block[INPUT_MAX];
    for (long i = 0; i < count; i++) {
        kb_buf_reset(buf);
        fuzz_make_seed(&rand_state, buf);
        size_t size = buf->len < INPUT_MAX ? buf->len : INPUT_MAX;
        if (size > 0)
            memcpy(block, buf->data, size);
        run(block, change(block, size, INPUT_MAX));
    }
}

/* ---- files ---- */

static void run_file(const char *path)
{
    static uint8_t block[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    size_t size = fread(block, 1, sizeof block, file);
    fclose(file);
    run(block, size);
}

/* Files run: one, or all of a folder. */
static size_t run_path(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;
    if (!folder && errno == ENOTDIR) {
        run_file(path);
        return 1;
    }
    if (!folder)
        fail(path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        run_file(name);
        count++;
    }
    closedir(folder);
    return count;
}

static void make_corpus(kb_buf *buf, const char *path, long count)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        fail(path);
    for (long i = 0; i < count; i++) {
        char name[4096];
        do {
            kb_buf_reset(buf);
            fuzz_make_seed(&rand_state, buf);
        } while (buf->len > SEED_FILE_MAX);
        snprintf(name, sizeof name, "%s/seed-%02ld", path, i);
        FILE *file = fopen(name, "wb");
        if (!file || fwrite(buf->data, 1, buf->len, file) != buf->len || fclose(file) != 0)
            fail(name);
    }
}

int main(int argc, char **argv)
{
    kb_mem mem;
    kb_buf buf;
    long inputs = 0;
    size_t files = 0;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&buf, &mem, 0);
    kb_rand_init(&rand_state, SEED);
    if (argc == 4 && strcmp(argv[1], "--make-corpus") == 0) {
        make_corpus(&buf, argv[2], strtol(argv[3], NULL, 10));
        kb_buf_cleanup(&buf);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--inputs") == 0 && i + 1 < argc)
            inputs = strtol(argv[++i], NULL, 10);
        else
            files += run_path(argv[i]);
    }
    run_seeded(&buf, inputs);
    kb_buf_cleanup(&buf);
    printf("%zu files, %ld inputs\n", files, inputs);
    return 0;
}
