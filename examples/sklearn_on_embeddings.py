"""
scikit-learn on embeddings
==========================

``embed`` gives features of every window as a table, ``EEGEncoder`` is a transformer for pipelines; whatever
scikit-learn has can follow. No labels are used for either. The data are **simulated**.
"""

# %%
# Features of a corpus
# --------------------
# Each recording is normalised as a whole, as in pre-training; what is known of a window stands beside its features.

import matplotlib.pyplot as plt
import numpy as np
import small
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mdjpt_hf import EEGEncoder, embed
from mdjpt_hf.schema import trial_signal

corpus = small.corpus()
found = embed(small.encoder(), corpus)
found.frame().iloc[:4, :9]

# %%
# Which folds?
# ------------
# Folds over people answer one question, folds over clips another: a classifier may know a clip again that it has learnt
# from others who watched it. Windows of one person or clip never stand on both sides.

windows = found.windows
classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
for question, groups in (("other people", windows["subject"]), ("other clips", windows["stimulus"])):
    scores = cross_val_score(classifier, found.features, windows["label_name"], groups=groups, cv=GroupKFold(5))
    print(f"{question}: accuracy {scores.mean():.2f}, folds {np.round(scores, 2)}; three classes")

# %%
# Where the classes lie
# ---------------------
# In the two directions in which they differ most for eight people; drawn are the two others.

others = windows["subject"].isin(sorted(windows["subject"].unique())[-2:]).to_numpy()
directions = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
directions.fit(found.features[~others], windows["label_name"][~others])
plane = directions.transform(found.features[others])
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
for name in directions.classes_:
    axes.scatter(*plane[windows["label_name"][others] == name].T, label=name, s=18)
axes.set(xlabel="first direction", ylabel="second direction")
axes.legend(frameon=False)
plt.show()

# %%
# In a pipeline
# -------------
# ``EEGEncoder`` takes trials or recordings and normalises each by itself. A trial of one emotion so loses what sets it
# apart from its recording: prefer whole recordings, or ``embed``, where there are any.

trials = corpus.select(range(12))
X = np.stack([trial_signal(row) for row in trials])
encoder = EEGEncoder(small.encoder(), ch_names=trials[0]["ch_names"], sampling_rate=125.0, pooling="mean+std")
whole = make_pipeline(encoder, StandardScaler(), LogisticRegression()).fit(X[:9], trials["label_name"][:9])
print(X.shape, "(trials, channels, samples) ->", encoder.transform(X[:3]).shape, "->", whole.predict(X[9:]))
