"""A whole collection of pictures on one page: `rsfiqa report`."""

from rsfiqa.report.collection.page import CollectionReport, save_collection_report
from rsfiqa.report.collection.sources import Source, find_sources

__all__ = ["CollectionReport", "Source", "find_sources", "save_collection_report"]
