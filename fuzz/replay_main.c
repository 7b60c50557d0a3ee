/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Runs a fuzz target without libFuzzer: files named on the command line, or N seeded inputs, each a valid one
 * with some bytes changed. usage: replay_TARGET N | FILE... */
#include "fuzz/fuzz.h"

#include <stdio.h>

#define SEED 20261123u

static void run_file(const char *path)
{
    static uint8_t block[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    size_t size = fread(block, 1, sizeof block, file);
    fclose(file);
    LLVMFuzzerTestOneInput(block, size);
}

static void change(kb_rand *rand, kb_buf *buf)
{
    for (uint64_t n = kb_rand_below(rand, 4); n > 0 && buf->len > 0; n--)
        buf->data[kb_rand_below(rand, buf->len)] = (uint8_t)kb_rand_u64(rand);
    if (buf->len > 0 && kb_rand_below(rand, 4) == 0)
        buf->len = kb_rand_below(rand, buf->len);
}

int main(int argc, char **argv)
{
    long rounds = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    for (int i = 1; rounds == 0 && i < argc; i++)
        run_file(argv[i]);
    kb_mem mem;
    kb_buf buf;
    kb_rand rand;
    kb_mem_init(&mem, NULL, 0);
    kb_buf_init(&buf, &mem, 0);
    kb_rand_init(&rand, SEED);
    for (long i = 0; i < rounds; i++) {
        kb_buf_reset(&buf);
        fuzz_make_seed(&rand, &buf);
        change(&rand, &buf);
        LLVMFuzzerTestOneInput(buf.data ? buf.data : (const uint8_t *)"", buf.len);
    }
    kb_buf_cleanup(&buf);
    printf("%ld inputs\n", rounds);
    return 0;
}
