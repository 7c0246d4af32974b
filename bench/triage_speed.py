"""How long a suggestion takes on one core: the rules alone, and rules and model together, over the corpus's test split.

    taskset -c 0 python bench/triage_speed.py

Prints one JSON object: milliseconds (median, 95th percentile), texts a second, the seconds to load, MiB of memory.
"""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Sequence

from triage import engine, pipeline
from triage.training import texts


def main() -> None:
    corpus = [text for text in texts.read() if text.is_test]
    began = time.perf_counter()
    loaded = engine.load()
    load = time.perf_counter() - began
    rules = pipeline.load()
    found = {
        "texts": len(corpus),
        "words": round(statistics.mean(len(text.body.split()) for text in corpus)),
        "load_s": round(load, 2),
        "rules": timed(rules, corpus),
        "whole": timed(loaded, corpus),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(found))


def timed(suggester: engine.Suggester, corpus: Sequence[texts.Text]) -> dict[str, float]:
    for text in corpus[:20]:
        suggester.suggest(text.body, subject=text.subject)
    taken = []
    for text in corpus:
        began = time.perf_counter()
        suggester.suggest(text.body, subject=text.subject, sender=text.sender)
        taken.append(time.perf_counter() - began)
    tenths = statistics.quantiles(taken, n=20)
    return {
        "median_ms": round(statistics.median(taken) * 1000, 1),
        "p95_ms": round(tenths[-1] * 1000, 1),
        "texts_per_s": round(len(taken) / sum(taken), 1),
    }


if __name__ == "__main__":
    main()
