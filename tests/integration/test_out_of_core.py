"""Rows read in chunks from files: predictions equal those of all rows at once, and `partial_fit` trains on them."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sklearn_bert import BertClassifier
from tests.benchmarks import out_of_core
from tests.distributed_worker import DETERMINISTIC
from tests.helpers import cases

N_ROWS, CHUNK = 130, 40  # an uneven last chunk


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same rows as parquet and as CSV."""
    parquet = tmp_path_factory.mktemp("rows") / "rows.parquet"
    out_of_core.write(parquet, N_ROWS, size=50)
    pd.read_parquet(parquet).to_csv(parquet.with_suffix(".csv"), index=False)
    return parquet, parquet.with_suffix(".csv")


@pytest.fixture(scope="module")
def fitted(tiny_bert, files):
    rows = pd.read_parquet(files[0])
    return BertClassifier(tiny_bert, **DETERMINISTIC).fit(rows["text"], rows["good"])


def dask_partitions(files):
    import dask
    import dask.dataframe as dd

    with dask.config.set(scheduler="synchronous"):
        for part in dd.read_csv(files[1], blocksize=1500).partitions:
            yield part.compute()


SOURCES = {
    "pandas": lambda files: pd.read_csv(files[1], chunksize=CHUNK),
    "pyarrow": lambda files: out_of_core.chunks(files[0], ["row", "text", "good"], CHUNK),
    "dask": dask_partitions,
}


@pytest.mark.parametrize("source", **cases(SOURCES))
def test_predictions_of_chunks_equal_predictions_of_the_whole(source, files, fitted):
    chunks = list(source(files))
    assert len(chunks) > 2
    predicted = np.concatenate([fitted.predict_proba(chunk["text"]) for chunk in chunks])
    whole = fitted.predict_proba(pd.read_parquet(files[0])["text"])
    np.testing.assert_allclose(predicted, whole, rtol=1e-9)


@pytest.mark.parametrize("source", **cases(SOURCES))
def test_partial_fit_trains_on_the_chunks_of_every_reader(source, files, tiny_bert):
    classifier, expected = BertClassifier(tiny_bert, **DETERMINISTIC), BertClassifier(tiny_bert, **DETERMINISTIC)
    chunks = list(source(files))
    for chunk in chunks:
        classifier.partial_fit(chunk["text"], chunk["good"], classes=[False, True])
        expected.partial_fit(list(chunk["text"]), list(chunk["good"]), classes=[False, True])
    assert classifier.n_iter_ == len(chunks)
    assert classifier.loss_curve_ == expected.loss_curve_


def test_prediction_from_file_to_file_keeps_the_row_order(files, fitted, tmp_path, capsys):
    fitted.save_pretrained(tmp_path / "model")
    out_of_core.predict(tmp_path / "model", files[0], tmp_path / "out.parquet", CHUNK)
    written = pq.read_table(tmp_path / "out.parquet").to_pandas()
    rows = pd.read_parquet(files[0])
    assert list(written["row"]) == list(range(N_ROWS))
    assert list(written["prediction"]) == list(fitted.predict(rows["text"]))
    assert capsys.readouterr().out.count("texts") == 4
