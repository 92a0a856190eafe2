"""Data sets held whole, as uint8 on the device, with one fixed train / validation / test split.

Choices are made on validation, the record reports test. Torchvision's test sets are the test part and a
fixed random tenth of its training sets is the validation part, and so it is for a folder of images and for
synthetic data; digits, which has no split of its own, is cut 50 / 10 / 40 so that its test part,
small as it is, resolves errors as finely as possible. Text is split by whole documents.
"""

from isoflop.train.data.dataset import DataSet, Facts
from isoflop.train.data.front import batches, facts, facts_of, load, state_of_files
from isoflop.train.data.parts import DataError, ImageSet, Part, PartName, split
from isoflop.train.data.text import TextSet

__all__ = [
    "DataError",
    "DataSet",
    "Facts",
    "ImageSet",
    "Part",
    "PartName",
    "TextSet",
    "batches",
    "facts",
    "facts_of",
    "load",
    "split",
    "state_of_files",
]
