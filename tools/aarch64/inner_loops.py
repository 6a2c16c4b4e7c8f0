"""The inner loops of the NEON kernels: what they consist of, and how processors would run them.

    python tools/aarch64/inner_loops.py [--object FILE ...] [--processor NAME ...] [--json FILE]

Disassembles the cross-compiled kernels (preset aarch64), takes each kernel's hot loop, and counts
its instructions; dot products of bytes count as multiply-adds. Where llvm-mca is found, it also
gives the cycles per iteration on models of some processors, and the share of these cycles in which
their multiply-add pipes are busy.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_KERNELS = REPOSITORY / "build/aarch64/runtime/CMakeFiles/alcs_runtime.dir/src/kernels"
OBJECT, DOT_OBJECT = _KERNELS / "arm_neon.cc.o", _KERNELS / "arm_neondot.cc.o"
OBJDUMP = "aarch64-linux-gnu-objdump"
# LLVM has no model of its own for the Apple M1: it uses that of an older core, Cyclone.
PROCESSORS = ("neoverse-n1", "cortex-a53", "cortex-a55", "apple-m1")
MODES = ("full", "tail", "rows")
#: Of a loop, simulated.
ITERATIONS = 200

_FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*([^/]*)")
_TILE = re.compile(r"TileBody<[^<>]*(NeonF32|NeonDotU8), (\d+), (\d+), \([^)]*\)(\d+), false>::Run")
#: The kernels over a vector type.
_TILES = {"NeonF32": "neon_tile", "NeonDotU8": "neondot_u8_tile"}
_DEPTHWISE = re.compile(r"WindowBody<[^<>]*NeonF32, (\d+), (\d+), [^<>]*WindowOp\)0>::Run")


@dataclass(frozen=True)
class Instruction:
    address: int
    mnemonic: str
    operands: str

    @property
    def is_fma(self) -> bool:
        products = ("fmla", "fmls", "fmul", "sdot")
        return self.mnemonic in products and self.operands.startswith("v")

    @property
    def is_branch(self) -> bool:
        return self.mnemonic.startswith(("b.", "cb", "tb")) or self.mnemonic in ("b", "br", "ret")

    @property
    def target(self) -> int | None:
        found = re.search(r"\b([0-9a-f]+) <", self.operands)
        return int(found[1], 16) if self.is_branch and found else None

    @property
    def kind(self) -> str:
        registers = self.operands.split("[")[0]
        vector = re.match(r"\{?\s*[qdsv]\d", registers) is not None
        if self.is_fma:
            return "fma"
        if self.mnemonic.startswith("ld"):
            return "vector load" if vector else "offset load"
        if self.mnemonic.startswith("st"):
            return "store"
        if self.mnemonic.startswith("prf"):
            return "prefetch"
        if self.is_branch or self.mnemonic in ("cmp", "subs"):
            return "loop"
        return "vector other" if vector else "address"


@dataclass
class Loop:
    """A kernel's hot code: a loop, or straight code where whole rows of pixels are unrolled."""

    kernel: str
    kind: str  # "tile" or "depthwise"
    mode: str
    rows: int
    vectors: int
    is_loop: bool
    body: list[Instruction] = field(repr=False)

    @property
    def fmas(self) -> int:
        return sum(i.is_fma for i in self.body)

    @property
    def share(self) -> float:
        return self.fmas / len(self.body)

    @property
    def mix(self) -> dict[str, int]:
        mix: dict[str, int] = {}
        for instruction in self.body:
            mix[instruction.kind] = mix.get(instruction.kind, 0) + 1
        return mix


def disassemble(path: Path) -> dict[str, list[Instruction]]:
    listing = subprocess.run(
        [OBJDUMP, "-d", "-C", "-M", "no-aliases", "--no-show-raw-insn", str(path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    functions: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in listing.splitlines():
        if found := _FUNCTION.match(line):
            current = functions.setdefault(found[1], [])
        elif found := _INSTRUCTION.match(line):
            address, mnemonic, operands = found.groups()
            current.append(Instruction(int(address, 16), mnemonic, operands.strip()))
    return functions


def hottest(function: list[Instruction], only_loops: bool) -> list[Instruction]:
    """The straight piece of code with the most FMAs; with `only_loops`, of those that repeat."""
    targets = {i.target for i in function}
    best: list[Instruction] = []
    block: list[Instruction] = []
    for instruction in function:
        if instruction.address in targets:
            block = []
        block.append(instruction)
        repeats = instruction.target == block[0].address
        fmas = sum(i.is_fma for i in block)
        if (repeats or not only_loops) and fmas > sum(i.is_fma for i in best):
            best = block
        if instruction.is_branch:
            block = []
    return best


def find_loops(path: Path) -> list[Loop]:
    loops = []
    for name, function in disassemble(path).items():
        if found := _TILE.search(name):
            rows, vectors, mode = (int(part) for part in found.groups()[1:])
            body = hottest(function, only_loops=True)
            kernel = f"{_TILES[found[1]]}_{rows}"
            loops.append(Loop(kernel, "tile", MODES[mode], rows, vectors, True, body))
        elif found := _DEPTHWISE.search(name):
            kernel_size, stride = (int(part) for part in found.groups())
            body = hottest(function, only_loops=False)
            kernel = f"neon_depthwise_{kernel_size}_{stride}"
            loops.append(Loop(kernel, "depthwise", "inside", kernel_size, stride, False, body))
    return sorted(loops, key=lambda i: (i.kind != "tile", i.mode, -i.rows, -i.vectors))


def find_mca() -> str | None:
    for name in ("llvm-mca-19", "llvm-mca"):
        if path := shutil.which(name):
            return path
    return None


def analyse(mca: str, loop: Loop, processor: str) -> dict[str, float]:
    """Cycles per iteration of `loop`, data in cache, and the FMA pipes' busy share."""
    lines = ["start:"]
    for i in loop.body:
        operands = re.sub(r"[0-9a-f]+ <.*", "start", i.operands) if i.is_branch else i.operands
        lines.append(f"{i.mnemonic} {operands}")
    command = [mca, "-mtriple=aarch64-linux-gnu", f"-mcpu={processor}", "-json"]
    done = subprocess.run(
        [*command, f"-iterations={ITERATIONS}"],
        input="\n".join(lines) + "\n",
        check=True,
        capture_output=True,
        text=True,
    )
    described = json.loads(done.stdout)
    report = described["CodeRegions"][0]
    cycles = report["SummaryView"]["TotalCycles"] / ITERATIONS
    # The units on which multiply-adds run, and for how many cycles they are taken by them. A group
    # of equal units is written NAME.0, NAME.1, ...; with too few multiply-adds to need them all,
    # some do not appear among those taken.
    fmas = {k for k, i in enumerate(loop.body) if i.is_fma}
    names = [name.split(".")[0] for name in described["TargetInfo"]["Resources"]]
    taken = 0.0
    units: set[str] = set()
    for row in report["ResourcePressureView"]["ResourcePressureInfo"]:
        if row["InstructionIndex"] in fmas:
            taken += row["ResourceUsage"]
            units.add(names[row["ResourceIndex"]])
    busy = taken / (cycles * sum(name in units for name in names))
    return {"cycles": round(cycles, 2), "fma_pipes_busy": round(busy, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--object", type=Path, nargs="+", default=[OBJECT, DOT_OBJECT])
    parser.add_argument("--processor", nargs="+", default=list(PROCESSORS))
    parser.add_argument("--all", action="store_true", help="narrow tiles too")
    parser.add_argument("--json", type=Path, help="write the table there too")
    args = parser.parse_args()
    mca = find_mca()
    if mca is None:
        print("llvm-mca is not installed: instruction mix only", file=sys.stderr)
    loops = [loop for path in args.object for loop in find_loops(path)]
    widest = {
        (i.kernel, i.mode): max(j.vectors for j in loops if j.kernel == i.kernel) for i in loops
    }
    rows = []
    print(f"{'kernel':22} {'mode':6} {'rows':>4} {'vec':>3} {'all':>4} {'FMA':>4} share", end="")
    print("".join(f"  {name:>12}" for name in args.processor if mca) + "   other instructions")
    for loop in loops:
        if not args.all and loop.vectors != widest[loop.kernel, loop.mode]:
            continue
        results = {name: analyse(mca, loop, name) for name in args.processor} if mca else {}
        print(
            f"{loop.kernel:22} {loop.mode:6} {loop.rows:4} {loop.vectors:3} {len(loop.body):4} "
            f"{loop.fmas:4} {loop.share:.3f}",
            end="",
        )
        for r in results.values():
            print(f"  {r['cycles']:6.1f} {r['fma_pipes_busy']:5.2f}", end="")
        print("   " + ", ".join(f"{n} {k}" for k, n in loop.mix.items() if k != "fma"))
        row = asdict(loop)
        del row["body"]
        rows.append(
            {
                **row,
                "fmas": loop.fmas,
                "share": round(loop.share, 4),
                "mix": loop.mix,
                "processors": results,
            }
        )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
