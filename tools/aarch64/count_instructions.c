// A plugin for qemu-aarch64 (user mode) that counts the instructions executed between two hints,
// `hint #0x50` and `hint #0x51` (see markers.c), which processors ignore.
//
//   qemu-aarch64 -plugin libcount_instructions.so,out=FILE ...
//
// At each stop, FILE is written anew: a line `total TOTAL FMA LOAD STORE`, then a line
// `ADDRESS EXECUTIONS INSTRUCTIONS FMA LOAD STORE` for every block of code that ran. FMA counts
// vector multiplies with or without an addition; LOAD and STORE those of vector registers.
//
// Blocks count their executions, not their instructions, so emulation stays fast. Counts are exact
// for one thread.
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The part of QEMU's plugin interface, version 1, that is used here; Debian ships no header for it.
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translate_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_callback)(unsigned int, void *);
enum { CALLBACK_NEEDS_NO_REGISTERS = 0, INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translate_callback);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *where,
                                              uint64_t amount);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, execute_callback, int flags,
                                            void *argument);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t, const void *info, int argc, char **argv);

enum { kAll, kFma, kLoad, kStore, kClasses };
static const uint32_t kStart = 0xd5032a1f, kStop = 0xd5032a3f;

struct block {
  struct block *next;
  uint64_t address;
  uint64_t executions;
  uint64_t instructions[kClasses];
};
static struct block *blocks;
static char *out_path;

static bool Matches(uint32_t word, uint32_t mask, uint32_t value) { return (word & mask) == value; }

// fmla, fmls and fmul of vectors, by vector and by element.
static bool IsFma(uint32_t word) {
  return Matches(word, 0xbfa0fc00, 0x0e20cc00) || Matches(word, 0xbfa0fc00, 0x0ea0cc00) ||
         Matches(word, 0xbfa0fc00, 0x2e20dc00) || Matches(word, 0xbf80f400, 0x0f801000) ||
         Matches(word, 0xbf80f400, 0x0f805000) || Matches(word, 0xbf80f400, 0x0f809000);
}

static int Classify(uint32_t word) {
  if (IsFma(word)) return kFma;
  if (!Matches(word, 0x0e000000, 0x0c000000)) return kAll;  // no access through vector registers
  const bool literal = Matches(word, 0x3b000000, 0x18000000);
  return literal || (word & 1u << 22) != 0 ? kLoad : kStore;
}

static void Start(unsigned int cpu, void *argument) {
  (void)cpu, (void)argument;
  for (struct block *b = blocks; b != NULL; b = b->next) b->executions = 0;
}

static void Stop(unsigned int cpu, void *argument) {
  (void)cpu, (void)argument;
  uint64_t sums[kClasses] = {0};
  for (const struct block *b = blocks; b != NULL; b = b->next) {
    for (int i = 0; i < kClasses; ++i) sums[i] += b->executions * b->instructions[i];
  }
  FILE *file = fopen(out_path, "w");
  if (file == NULL) {
    perror(out_path);
    exit(1);
  }
  fprintf(file, "total %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", sums[kAll], sums[kFma],
          sums[kLoad], sums[kStore]);
  for (const struct block *b = blocks; b != NULL; b = b->next) {
    if (b->executions == 0) continue;
    fprintf(file, "%" PRIx64 " %" PRIu64, b->address, b->executions);
    for (int i = 0; i < kClasses; ++i) fprintf(file, " %" PRIu64, b->instructions[i]);
    fputc('\n', file);
  }
  fclose(file);
}

static void Translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  struct block *block = calloc(1, sizeof *block);
  if (block == NULL) abort();
  block->address = qemu_plugin_tb_vaddr(tb);
  const size_t count = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < count; ++i) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
    ++block->instructions[kAll];
    const int kind = Classify(word);
    if (kind != kAll) ++block->instructions[kind];
    if (word == kStart || word == kStop) {
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, word == kStart ? Start : Stop,
                                             CALLBACK_NEEDS_NO_REGISTERS, NULL);
    }
  }
  // Threads translate under QEMU's lock.
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &block->executions, 1);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "out=", 4) == 0) out_path = strdup(argv[i] + 4);
  }
  if (out_path == NULL) {
    fputs("count_instructions: out=FILE is missing\n", stderr);
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, Translate);
  return 0;
}
