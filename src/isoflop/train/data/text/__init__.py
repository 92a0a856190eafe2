"""Text for language models: bytes as tokens, whole on the device, split into parts by documents.

A document is a file, or what a separator or a table of offsets divides a file into. Before each stands a
mark, a byte that does not occur if there is one. An example is a byte that is predicted, so a batch counts
bytes; one of its rows is a window: `context` inputs, and as targets the same text one token later.
"""

from isoflop.train.data.text.sets import TextSet, TextSources, load_text
from isoflop.train.data.text.stream import text_batches
from isoflop.train.data.text.windows import Windows

__all__ = ["TextSet", "TextSources", "Windows", "load_text", "text_batches"]
