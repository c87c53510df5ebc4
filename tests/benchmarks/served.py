"""The server of docs/other_libraries.md: CPU time of a request, client included, beside that of `predict_proba` alone.

    python -m tests.benchmarks.served [--texts 40]

Both run the blocks of that page, so they need the extra `ecosystem`. Medians, one ticket at a time, one thread.
"""

import argparse
import time
from statistics import median

import torch


def median_milliseconds(answer, texts):
    times = []
    for text in texts:
        start = time.process_time()
        answer(text)
        times.append(1000 * (time.process_time() - start))
    return median(times)


def main():
    import httpx  # of the extra, and this module is imported everywhere

    from tests.integration.test_other_libraries import SETUP, code_of, run, served

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    page = run(code_of("A server: FastAPI"), run(code_of(SETUP), {}))
    texts = page["test"]["message"].head(args.texts).tolist()
    with served(page["app"]) as address, httpx.Client(timeout=60) as client:
        sides = {
            "predict_proba": lambda text: page["clf"].predict_proba([text]),
            "request": lambda text: client.post(f"{address}/predict", json={"texts": [text]}).json(),
        }
        for name, answer in sides.items():
            median_milliseconds(answer, texts[:5])  # warms up
            print(f"{name}: {median_milliseconds(answer, texts):.0f} ms")


if __name__ == "__main__":
    main()
