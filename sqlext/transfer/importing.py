"""IMPORT MODEL of a file with a network or with trained layers, or of the folder of an EXPORT."""

from __future__ import annotations

from sqlext.context import Context, ResultRow
from sqlext.errors import error_at
from sqlext.transfer.import_folder import import_folder
from sqlext.transfer.import_network import import_network
from sqlext.transfer.publishing import nothing_imported
from sqlext.transfer.request import ImportRequest


def import_model(context: Context, request: ImportRequest) -> ResultRow:
    """Carries out IMPORT MODEL and returns its one row."""
    name = context.model_name(request.name)
    with error_at(request.name.offset):
        existing = context.catalog.find(name)
    if existing is not None and request.if_not_exists:
        return nothing_imported(request, existing)
    read = import_folder if request.format is None else import_network
    return read(context, request, name, existing)
