"""Near-duplicates of a .jsonl file by datatrove's MinHash: dedup.py FILE FOLDER WORKERS. Prints seconds and the rows that are left as JSON."""

import json
import sys
import time

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter


def main(file: str, folder: str, workers: int) -> None:
    config = MinhashConfig()

    def reader() -> JsonlReader:
        # Each worker reads its part: the rows lie in as many files.
        return JsonlReader(file, glob_pattern="*.jsonl", text_key="text")

    def run(name: str, pipeline: list, tasks: int) -> None:
        LocalPipelineExecutor(
            pipeline=pipeline, tasks=tasks, workers=workers, logging_dir=f"{folder}/logs/{name}"
        ).run()

    start = time.time()
    run("signatures", [reader(), MinhashDedupSignature(f"{folder}/signatures", config=config)], workers)
    buckets = MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/buckets", config=config)
    run("buckets", [buckets], config.num_buckets)
    run("clusters", [MinhashDedupCluster(f"{folder}/buckets", f"{folder}/remove", config=config)], 1)
    last = [reader(), MinhashDedupFilter(f"{folder}/remove"), PIIFormatter(), JsonlWriter(f"{folder}/out", compression=None)]
    run("filter", last, workers)
    left = 0
    for part in range(workers):
        with open(f"{folder}/out/{part:05d}.jsonl", encoding="utf-8") as rows:
            left += sum(1 for _ in rows)
    print(json.dumps({"seconds": time.time() - start, "rows": left}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
