"""
Train on your own camera
========================

The classifier that crismis ships knows many cameras. One that has seen yours can know it better.
"""

# %%
# Labelled events
# ---------------
# Normally you label events yourself: ``crismis train categorize --export`` writes sheets of
# numbered pictures and a table to fill in. Here a simulated camera stands in.

import matplotlib.pyplot as plt
import numpy as np

from crismis import Detector
from crismis.learning.categorize import LabelledEvents, fit_classifier
from crismis.learning.event_samples import Camera, simulate_events
from crismis.view import plot_confusion

camera = Camera(
    detector=Detector(
        "mine",
        pitch=24.0,
        thickness=150.0,
        gain=1.0,
        readnoise=20.0,
        diffusion=8.0,
    ),
    sky=100.0,
    seed_level=6.0,
    grow_level=3.0,
    blur=0.0,
    bits=0,
    known=True,
)
sample = simulate_events(16, seed=1, camera=camera)
names, counts = np.unique(sample.category, return_counts=True)
frequent = np.isin(sample.category, names[counts >= 20])
features, category = sample.features[frequent], sample.category[frequent]
for name, count in zip(names, counts, strict=True):
    print(f"{count:4d} {name}")

# %%
# Fit on one half, look at the other
# ----------------------------------

half = np.arange(len(category)) % 2 == 0
model = fit_classifier(
    LabelledEvents(features[half], category[half]), name="my camera"
)
predicted = model.classes_[
    np.argmax(model.predict_proba(features[~half]), axis=1)
]
print(
    f"{100 * np.mean(predicted == category[~half]):.0f} % of the other half are right"
)

figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
plot_confusion(category[~half], predicted, ax)

# %%
# Keep and use it
# ---------------
# The file holds numbers and a card; loading it runs no code. Any step that names events takes it::
#
#     model.save("mine.crm")
#     crismis.categorize_cosmicrays(ccd, classifier="mine.crm")
