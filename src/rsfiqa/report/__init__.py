"""Pictures and pages that show an assessment."""

from rsfiqa.report.html import save_report
from rsfiqa.report.overlay import draw_overlay

__all__ = ["draw_overlay", "save_report"]
