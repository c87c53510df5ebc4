"""Grid searches on the worker processes of a cluster on this machine, and predictions from files to files there.

Dask is in the extra ``test``; Ray is not, see docs/test_runs.md.
"""

import os
import signal
import uuid
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

from sklearn_bert import BertClassifier
from tests.benchmarks import out_of_core
from tests.distributed_worker import DETERMINISTIC, example_rows

N_FITS = 18  # six candidates in three folds
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Texts(list):
    """A list of texts that counts how often this process pickles it."""

    n_pickled = 0

    def __reduce__(self):
        Texts.n_pickled += 1
        return list, (list(self),)


class RecordingScore:
    """The accuracy; each call creates a file in a folder, named after the process, and kills the victim."""

    def __init__(self, folder, victim=None):
        self.folder, self.victim = folder, victim

    def __call__(self, estimator, X, y):
        Path(self.folder, f"{os.getpid()}-{uuid.uuid4().hex}").touch()
        if os.getpid() == self.victim:
            os.kill(self.victim, signal.SIGKILL)
        return estimator.score(X, y)


@pytest.fixture(scope="module")
def client():
    """The client of a scheduler with two worker processes; the scheduler replaces a worker that dies."""
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env=WORKER_ENVIRONMENT
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ray():
    """Ray with two worker processes, known to joblib."""
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    ray.init(
        num_cpus=3,  # one more than workers: Ray Data also needs one to read files
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
    )
    register_ray()
    yield ray
    ray.shutdown()


def make_search(tiny_bert, **settings):
    classifier = BertClassifier(tiny_bert, **DETERMINISTIC)
    grid = {"learning_rate": [1e-3, 1e-2, 3e-2], "max_epochs": [1, 2]}
    return GridSearchCV(classifier, grid, cv=3, **settings)


@pytest.fixture(scope="module")
def serial(tiny_bert):
    texts, y, *_ = example_rows()
    return make_search(tiny_bert).fit(texts, y)


def assert_same_search(search, serial):
    scores = [name for name in serial.cv_results_ if name.startswith(("split", "mean_test", "std_test", "rank"))]
    assert len(scores) == 6
    for name in scores:
        np.testing.assert_allclose(search.cv_results_[name], serial.cv_results_[name], rtol=1e-9)
    assert search.best_params_ == serial.best_params_


@pytest.mark.slow
def test_grid_search_on_dask_equals_the_serial_search_and_sends_texts_once(client, serial, tiny_bert):
    texts, y, *_ = example_rows()
    Texts.n_pickled = 0
    with joblib.parallel_config("dask"):
        search = make_search(tiny_bert).fit(Texts(texts), y)
    assert_same_search(search, serial)
    assert Texts.n_pickled < N_FITS / 4


@pytest.mark.slow
def test_grid_search_on_dask_survives_a_killed_worker(client, serial, tiny_bert, tmp_path):
    texts, y, *_ = example_rows()
    victim = next(iter(client.run(os.getpid).values()))
    with joblib.parallel_config("dask"):
        search = make_search(tiny_bert, scoring=RecordingScore(tmp_path, victim)).fit(texts, y)
    assert_same_search(search, serial)
    assert len(list(tmp_path.glob(f"{victim}-*"))) == 1
    assert len(list(tmp_path.iterdir())) > N_FITS
    client.wait_for_workers(2, timeout=240)
    assert victim not in client.run(os.getpid).values()


@pytest.mark.slow
def test_grid_search_on_ray_equals_the_serial_search(ray, serial, tiny_bert, tmp_path):
    texts, y, *_ = example_rows()
    with joblib.parallel_config("ray", n_jobs=2):
        search = make_search(tiny_bert, scoring=RecordingScore(tmp_path)).fit(texts, y)
    assert_same_search(search, serial)
    workers = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert len(workers - {str(os.getpid())}) == len(workers) == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default::DeprecationWarning")  # within Ray Data
def test_predictions_of_ray_data_from_file_to_file_equal_those_in_one_process(ray, tiny_bert, tmp_path):
    texts, y, *_ = example_rows()
    fitted = BertClassifier(tiny_bert, **DETERMINISTIC).fit(texts, y)
    fitted.save_pretrained(tmp_path / "model")
    out_of_core.write(tmp_path / "rows.parquet", 130, size=50)

    class Predictor:
        def __init__(self, folder):
            self.classifier = BertClassifier.from_pretrained(folder)

        def __call__(self, batch):
            return {"row": batch["row"], "prediction": self.classifier.predict(batch["text"])}

    rows = ray.data.read_parquet(str(tmp_path / "rows.parquet")).repartition(4)  # one part goes to one actor
    pool = ray.data.ActorPoolStrategy(size=2)
    predicted = rows.map_batches(Predictor, fn_constructor_args=[tmp_path / "model"], batch_size=40, compute=pool)
    predicted.write_parquet(str(tmp_path / "predicted"))
    written = pd.read_parquet(tmp_path / "predicted").sort_values("row")
    expected = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(written["row"]) == list(expected["row"])
    assert list(written["prediction"]) == list(fitted.predict(expected["text"]))
