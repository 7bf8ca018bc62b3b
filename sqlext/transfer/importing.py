"""IMPORT MODEL: the file of a network, trained layers in a file, or the folder of an EXPORT."""

from __future__ import annotations

from sqlext.context import Context, ResultRow
from sqlext.transfer.import_folder import import_folder
from sqlext.transfer.import_network import import_network
from sqlext.transfer.request import ImportRequest


def import_model(context: Context, request: ImportRequest) -> ResultRow:
    """Carries out IMPORT MODEL and returns its one row."""
    return import_folder(context, request) if request.format is None else import_network(context, request)
