"""What the addresses of knowledge take and answer, for the description."""

from typing import Annotated, Any, Final, Literal, TypedDict

import msgspec


class DocumentsQuery(msgspec.Struct, frozen=True):
    """A larger `limit` than 100 counts as 100."""

    limit: Annotated[int, msgspec.Meta(ge=1)] = 50
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0


class DocumentJson(TypedDict):
    """`error` is a sentence to be shown, `errorCode` its key."""

    id: str
    title: str
    url: str | None
    sourceType: str
    category: str | None
    chunkCount: int
    status: str
    error: str | None
    errorCode: str | None
    errorDetail: str | None
    created_at: str
    updated_at: str
    indexed_at: str | None
    deleted_at: str | None


class DocumentDetail(DocumentJson):
    """With its text, as it was read."""

    content: str


class DocumentListed(DocumentJson):
    """With its text, as the page reads it there; null when it is long: the document has it."""

    content: str | None


class DocumentList(TypedDict):
    """Latest first."""

    success: bool
    documents: list[DocumentListed]
    total: int
    limit: int
    offset: int


class DeletedDocuments(TypedDict):
    """Those that can be restored, longest deleted first."""

    success: bool
    documents: list[DocumentJson]
    total: int


class DocumentAnswer(TypedDict):
    """One."""

    success: bool
    document: DocumentDetail


class DocumentSaved(TypedDict):
    """`message` can be shown."""

    success: bool
    message: str
    document: DocumentJson


class DocumentDeleted(TypedDict):
    """`message` can be shown."""

    success: bool
    message: str


class PassageSource(TypedDict):
    """Where it stands."""

    documentId: str
    title: str
    url: str | None
    heading: str


class PassageJson(TypedDict):
    """A passage with its source."""

    id: str
    kind: str
    text: str
    heading: str
    score: float
    source: PassageSource


class KnowledgeAnswer(TypedDict):
    """`ambiguous`: the agent will ask which; `nothing`: it will say so."""

    success: bool
    status: Literal["found", "ambiguous", "nothing"]
    message: str
    question: str
    passages: list[PassageJson]


#: The parts of an upload, as OpenAPI says it.
UPLOAD: Final[dict[str, Any]] = {
    "schema": {
        "type": "object",
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            "title": {"type": "string", "maxLength": 200},
            "category": {"type": "string", "maxLength": 80},
        },
        "required": ["file"],
    }
}
