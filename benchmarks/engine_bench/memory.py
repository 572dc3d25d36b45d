# SPDX-License-Identifier: Apache-2.0
"""Peak memory of a map, each contender in a process of its own.

``python -m engine_bench.memory '<Case as JSON>'`` is that process; it prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn
from tqdm.auto import tqdm

from engine_bench.contenders import PEERS, Question, mean_probability, ours
from engine_bench.networks import seeded
from engine_bench.report import Column, Outcome, Part, Row, Setting, Verdict, facts
from engine_bench.timing import Kind, Place

__all__ = ["PART"]

MIB = 2**20
FORWARD = "one forward"
SLACK = 8  # MiB that an allocator and the lists of 4,096 regions may differ by


@dataclass(frozen=True)
class Case:
    """What one process does."""

    contender: str
    batch_size: int
    size: int
    patch: int
    device: str
    seed: int


def _cases(setting: Setting, device: str) -> list[Case]:
    size = setting.pick(512, 64)
    asked = [
        ("ours, dense", 16),
        ("captum FeatureAblation", 16),
        ("MONAI OcclusionSensitivity", 16),
        ("ours, dense", 1),
        ("ours, incremental", 16),
        (FORWARD, 1),
        (FORWARD, 16),
    ]
    if setting.quick:
        asked = asked[3:]
    return [Case(name, batch, size, 8, device, setting.seed) for name, batch in asked]


def _plan(setting: Setting) -> str:
    size = setting.pick(512, 64)
    return (
        f"a map over all {(size // 8) ** 2:,} regions of 8x8 of a {size}x{size} image with a small MONAI UNet (batch "
        "norm), the score read in a box in the middle; peak resident memory of a fresh process beyond what it held "
        "when libraries, network and image were loaded and a small map had been made; memory is given back to the "
        "system at once (`MALLOC_MMAP_THRESHOLD_`), so that the peak is that of live tensors. Expected and, for ours, "
        f"a pass: no more than the batch and one set of activations, all that the layers give for it (plus {SLACK} "
        "MiB). A single forward of the same batch stands beside it."
    )


def _run(setting: Setting, place: Place) -> Outcome:
    cases = _cases(setting, place.device.type)
    # Memory does not mind company as time does: on a CPU the processes share the cores, one thread each.
    at_once = max(1, min(4, os.cpu_count() or 1)) if place.device.type == "cpu" else 1
    with ThreadPoolExecutor(at_once) as pool:
        bar = tqdm(pool.map(_in_process, cases), total=len(cases), desc="memory", disable=None, leave=False)
        found = list(bar)
    case_name = f"{cases[0].size}x{cases[0].size}, {(cases[0].size // cases[0].patch) ** 2:,} regions"
    rows = [
        Row(
            part=PART.name,
            case=case_name,
            contender=case.contender,
            kind=_kind(case.contender),
            device=case.device,
            threads=1,
            batch_size=case.batch_size,
            items=1 if case.contender == FORWARD else (case.size // case.patch) ** 2,
            facts=measured,
        )
        for case, measured in zip(cases, found, strict=True)
    ]
    own = [row for row in rows if row.kind == "ours"]
    worst = max(own, key=lambda row: row.facts["extra_mib"] - row.facts["allowed_mib"])
    verdict = Verdict(
        f"memory of a map over {rows[0].items:,} regions: no more than the batch and one set of activations",
        str(place),
        "; ".join(
            f"{row.contender}, batch {row.batch_size}: {row.facts['extra_mib']:.0f} of "
            f"{row.facts['allowed_mib']:.0f} MiB"
            for row in own
        ),
        worst.facts["extra_mib"] <= worst.facts["allowed_mib"] + SLACK,
    )
    return Outcome(rows, [verdict])


def _in_process(case: Case) -> dict[str, float]:
    folder = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": folder, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "engine_bench.memory", json.dumps(asdict(case))],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{case.contender}, batch {case.batch_size}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _measure(case: Case) -> dict[str, float]:
    """Inside the process: MiB beyond what was there before."""
    torch.set_num_threads(1)
    device = torch.device(case.device)
    network = seeded(lambda: UNet(2, 1, 1, (4, 8, 16), (2, 2), norm="batch"), case.seed, device)
    answer = _contender(case.contender)
    answer(_question(network, 64, case), case.batch_size)  # loads what is loaded at first use
    question = _question(network, case.size, case)
    loaded = _peak(device)
    answer(question, case.batch_size)
    extra = _peak(device) - loaded
    batch, activations = _bytes_of(network, question.image)
    return {
        "extra_mib": extra / MIB,
        "batch_mib": case.batch_size * batch / MIB,
        "activations_mib": case.batch_size * activations / MIB,
        "allowed_mib": case.batch_size * (batch + activations) / MIB,
    }


def _kind(contender: str) -> Kind:
    if contender == FORWARD:
        return "floor"
    return "ours" if contender.startswith("ours") else "peer"


def _contender(name: str) -> Callable[[Question, int], Any]:
    if name in PEERS:
        return PEERS[name]
    if name == FORWARD:
        return _one_forward
    execution = name.removeprefix("ours, ")
    return lambda question, batch: ours(question, batch, execution)


def _one_forward(question: Question, batch_size: int) -> None:
    with torch.no_grad():
        question.network(question.image.repeat(batch_size, 1, 1, 1))


def _question(network: nn.Module, size: int, case: Case) -> Question:
    image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(case.seed))
    middle = ((size // 2 - size // 16, size // 2 + size // 16),) * 2
    return Question(network, image.to(case.device), case.patch, mean_probability, middle)


def _bytes_of(network: nn.Module, image: Tensor) -> tuple[int, int]:
    """Bytes of one image, and of one set of activations: what every layer gives for it."""
    sizes: list[int] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: sizes.append(output.nbytes))
        for module in network.modules()
        if not list(module.children())
    ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return image.nbytes, sum(sizes)


def _peak(device: torch.device) -> int:
    """Peak bytes so far: of this process, or of the device."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not getrusage: its maximum outlives exec, and would be that of the process which started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


COLUMNS: list[Column] = [
    ("case", lambda row: row.case),
    ("contender", lambda row: row.contender),
    ("batch", lambda row: str(row.batch_size)),
    *facts("extra_mib", "batch_mib", "activations_mib", "allowed_mib"),
]

PART = Part("memory", "Peak memory", _plan, _run, COLUMNS)

if __name__ == "__main__":
    print(json.dumps(_measure(Case(**json.loads(sys.argv[1])))))
