"""The report: what was spent, what burned and why, as one HTML file that needs nothing else.

The picture of an incident shows two lines. *Observed* is what the incident's scope spent, summed from the same exact
minutes that the detectors judged. *Expected* is observed less the excess that the alerts report, spread between two
alerts in proportion to what was spent: what lies between the lines is the excess in words, to the cent, and nothing is
drawn that no alert has said. Outside the incident there is only what was observed, and below it the whole period, so
that everybody can see for themselves how odd the incident is.
"""

from streams.report.page import write_report
from streams.report.spend import SpendByMinute, SpendCounter

__all__ = ["SpendByMinute", "SpendCounter", "write_report"]
