"""Device and precision after loading: those of the fit, those that are asked for, or the CPU."""

import copy
import os
import pickle
import re
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest
import torch

from sklearn_bert import BertClassifier
from tests.storage.helpers import ONE_EPOCH, fitted_elsewhere


def test_a_pickle_and_a_copy_keep_the_precision_of_the_fit(tiny_bert, reviews):
    fitted = BertClassifier(tiny_bert, precision="float64", **ONE_EPOCH).fit(*reviews)
    before = fitted.predict_proba(reviews[0])
    fitted.set_params(precision="float32")
    for again in (pickle.loads(pickle.dumps(fitted)), copy.copy(fitted), fitted):
        np.testing.assert_array_equal(again.predict_proba(reviews[0]), before)


def test_from_pretrained_with_an_unknown_precision_is_an_error(classifier, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="The 'precision' parameter of BertClassifier must be"):
        BertClassifier.from_pretrained(tmp_path / "model", precision="fp16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="tests a machine without a GPU")
@pytest.mark.parametrize(
    ("settings", "device", "precision"),
    [({"device": "cuda"}, "cpu", "auto"), ({"device": "cuda", "precision": "float16"}, "cpu", "auto")],
    ids=str,
)
def test_loading_without_the_device_of_the_fit_warns_and_predicts_on_the_cpu(
    classifier, reviews, tmp_path, settings, device, precision
):
    estimator = fitted_elsewhere(classifier, **settings)
    asked = f"device={settings['device']!r} and precision={settings.get('precision', 'auto')!r}"
    message = f"Fitted with {asked}, which are not available here; predicting with device='cpu' and precision='auto'."
    estimator.save_pretrained(tmp_path / "model")
    data = pickle.dumps(estimator)
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        from_pickle = pickle.loads(data)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=re.escape(message)):
        from_folder = BertClassifier.from_pretrained(tmp_path / "model")
    for again in (from_pickle, from_folder):
        np.testing.assert_array_equal(again.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]))
        assert again.device == settings["device"]


def test_from_pretrained_takes_device_and_precision(classifier, reviews, tmp_path):
    classifier.save_pretrained(tmp_path / "model")
    loaded = BertClassifier.from_pretrained(tmp_path / "model", device=torch.device("cpu"), precision="float32")
    assert (loaded.device, loaded.precision) == (torch.device("cpu"), "float32")
    assert loaded.net_.precision == "float32"
    np.testing.assert_allclose(loaded.predict_proba(reviews[0]), classifier.predict_proba(reviews[0]), atol=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_pickle_of_a_gpu_predicts_without_a_gpu_and_the_other_way_round(tiny_bert, reviews, tmp_path):
    there = BertClassifier(tiny_bert, **ONE_EPOCH | {"device": "auto", "precision": "float32"}).fit(*reviews)
    assert next(pickle.loads(pickle.dumps(there)).module_.parameters()).device.type == "cuda"
    np.testing.assert_array_equal(copy.deepcopy(there).predict_proba(reviews[0]), there.predict_proba(reviews[0]))
    joblib.dump((there, reviews[0]), tmp_path / "there")
    here = textwrap.dedent("""
        import sys, joblib, numpy, torch
        assert not torch.cuda.is_available()
        estimator, texts = joblib.load(sys.argv[1])
        numpy.save(sys.argv[2], estimator.predict_proba(texts))
        joblib.dump(estimator, sys.argv[3])
    """)
    paths = [str(tmp_path / name) for name in ("there", "found.npy", "here")]
    subprocess.run([sys.executable, "-c", here, *paths], check=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    np.testing.assert_allclose(np.load(paths[1]), there.predict_proba(reviews[0]), atol=1e-4)
    back = joblib.load(paths[2])
    assert next(back.module_.parameters()).device.type == "cuda"
    np.testing.assert_array_equal(back.predict_proba(reviews[0]), there.predict_proba(reviews[0]))
