"""Resident memory of a worker and of the gathering process while small frames go by."""

import csv

import matplotlib.pyplot as plt
import numpy as np

with open("../tables/survey_memory.csv", encoding="utf-8") as lines:
    names, *rows = csv.reader(lines)
images, *memories = np.array(rows, float).T
fig, ax = plt.subplots(figsize=(6.0, 3.0))
for name, memory in zip(names[1:], memories, strict=True):
    ax.plot(images, memory, ".-", label=name)
ax.set(xlabel="frames of 128 x 128 pixels", ylabel="resident memory / MB", ylim=(0, None))
ax.legend(frameon=False)
