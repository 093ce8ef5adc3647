"""Reports: a capture's main figures on a page or in a notebook, its quality first.

`outline` says what stands in a report, `facts` what it is on; `page` and `notebook` write it. `quality` and
`shown` are what the notebook's cells call.
"""

from chaosnb.reporting.markup import shown
from chaosnb.reporting.quality import quality
from chaosnb.reporting.writing import report

__all__ = ["quality", "report", "shown"]
