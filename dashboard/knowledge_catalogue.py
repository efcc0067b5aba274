"""What the dashboard says about documents: why one can't be read, and what to do about it."""

from collections.abc import Mapping

FRENCH: Mapping[str, str] = {
    "document_unknown": "Ce document est introuvable.",
    "document_title_invalid": "Donnez au document un titre d’une ligne (200 caractères au plus).",
    "document_category_invalid": "La catégorie tient en une ligne (80 caractères au plus).",
    "document_content_missing": "Donnez le texte du document, ou l’adresse d’une page web.",
    "document_url_invalid": "Cette adresse est illisible (exemple : https://www.exemple.fr/tarifs).",
    "document_not_editable": (
        "Le texte de ce document vient d’un fichier ou d’une page web : corrigez-le là-bas, puis"
        " importez-le à nouveau."
    ),
    "document_added": "Votre document est ajouté. Il sera lu dans un instant.",
    "document_changed": "Vos modifications sont enregistrées.",
    "document_deleted": "Ce document est supprimé : votre assistante ne s’en sert plus.",
    "document_restored": "Ce document est rétabli. Il sera relu dans un instant.",
    "document_reindexed": "Ce document va être relu.",
    "file_missing": "Choisissez un fichier à importer.",
    # Why one can't be read (storage.knowledge.extract.REASONS).
    "document_unsupported": (
        "Ce format n’est pas pris en charge. Importez un PDF, une page HTML, du Markdown, un"
        " fichier texte ou CSV. (Word ou Excel : « Enregistrer sous », PDF ou CSV.)"
    ),
    "document_encrypted": (
        "Ce PDF est protégé par un mot de passe. Enregistrez-le sans mot de passe, puis"
        " importez-le à nouveau."
    ),
    "document_scanned": (
        "Ce PDF ne contient que des images (un scan) : aucun texte n’a pu y être lu. Importez le"
        " document d’origine, ou un PDF passé par une reconnaissance de texte."
    ),
    "document_empty": "Ce document ne contient aucun texte.",
    "document_broken": "Ce fichier est abîmé. Enregistrez-le à nouveau, puis importez-le.",
    "document_not_text": (
        "Ce fichier n’est pas un texte. Enregistrez-le en texte (UTF-8), en CSV ou en PDF."
    ),
    "document_too_large": "Ce fichier est trop volumineux (10 Mo au plus).",
    "document_too_much_text": (
        "Ce document est trop long. Répartissez-le en plusieurs documents, et laissez de côté ce"
        " que vos clients ne demandent pas."
    ),
    "document_too_many_pages": "Ce PDF a trop de pages (300 au plus). Répartissez-le en plusieurs.",
    "document_too_complex": (
        "Ce fichier est trop complexe pour être lu. Enregistrez-le sous une forme plus simple"
        " (PDF de texte, CSV)."
    ),
    "document_too_slow": (
        "La lecture de ce fichier a pris trop de temps. Enregistrez-le sous une forme plus simple,"
        " ou réessayez plus tard."
    ),
    "document_internal": (
        "Ce document n’a pas pu être lu, par notre faute. Réessayez, ou enregistrez-le sous une"
        " autre forme."
    ),
    # Why an address gave nothing (domain.fetching.ADDRESS_FAULTS).
    "address_bad_address": "Cette adresse ne peut pas être lue. Vérifiez-la.",
    "address_unreachable": (
        "Rien ne répond à cette adresse. Vérifiez-la, et que la page est ouverte à tous sur"
        " Internet."
    ),
    "address_bad_certificate": "Le certificat de ce site n’est pas valable.",
    "address_redirected": "Cette adresse mène à un autre site. Indiquez l’adresse finale.",
    "address_status": "Le site refuse cette adresse : la page n’existe pas, ou n’est pas publique.",
    "address_too_large": "La page est trop volumineuse (10 Mo au plus).",
    "address_too_slow": "Le site n’a pas répondu à temps. Réessayez plus tard.",
    "address_bad_answer": "La réponse du site est incompréhensible.",
    "address_token_refused": "Ce site n’accepte pas ces identifiants.",
    # Bounds.
    "knowledge_full": (
        "La place pour vos documents est épuisée. Supprimez-en que vos clients ne demandent pas."
    ),
    "knowledge_too_long": (
        "Ce document est trop long. Répartissez-le en plusieurs documents, et laissez de côté ce"
        " que vos clients ne demandent pas."
    ),
    # A question on trial.
    "question_invalid": "Posez une question d’une ligne (500 caractères au plus).",
    "question_found": "Voici ce que votre assistante sait répondre.",
    "question_ambiguous": (
        "Plusieurs lignes répondent : votre assistante demandera au client laquelle il veut."
    ),
    "question_nothing": (
        "Rien dans vos documents : votre assistante dira qu’elle ne sait pas, et proposera de"
        " prendre un message."
    ),
}

ENGLISH: Mapping[str, str] = {
    "document_unknown": "This document can't be found.",
    "document_title_invalid": "Give the document a title of one line (200 characters at most).",
    "document_category_invalid": "The category is one line (80 characters at most).",
    "document_content_missing": "Give the document's text, or the address of a web page.",
    "document_url_invalid": "This address can't be read (example: https://www.example.com/prices).",
    "document_not_editable": (
        "This document's text comes from a file or a web page: correct it there, then upload it"
        " again."
    ),
    "document_added": "Your document is added. It will be read in a moment.",
    "document_changed": "Your changes are saved.",
    "document_deleted": "This document is deleted: your assistant no longer uses it.",
    "document_restored": "This document is restored. It will be read again in a moment.",
    "document_reindexed": "This document will be read again.",
    "file_missing": "Choose a file to upload.",
    "document_unsupported": (
        "This format isn't supported. Upload a PDF, an HTML page, Markdown, a text or a CSV file."
        " (Word or Excel: “Save as”, PDF or CSV.)"
    ),
    "document_encrypted": (
        "This PDF is protected by a password. Save it without one, then upload it again."
    ),
    "document_scanned": (
        "This PDF holds images only (a scan): no text could be read. Upload the original, or a"
        " PDF that went through text recognition."
    ),
    "document_empty": "This document holds no text.",
    "document_broken": "This file is damaged. Save it again, then upload it.",
    "document_not_text": "This file isn't text. Save it as text (UTF-8), as CSV or as PDF.",
    "document_too_large": "This file is too large (10 MB at most).",
    "document_too_much_text": (
        "This document is too long. Split it into several, and leave out what your customers don't"
        " ask for."
    ),
    "document_too_many_pages": "This PDF has too many pages (300 at most). Split it into several.",
    "document_too_complex": (
        "This file is too complex to be read. Save it in a simpler form (a PDF of text, CSV)."
    ),
    "document_too_slow": (
        "Reading this file took too long. Save it in a simpler form, or try again later."
    ),
    "document_internal": (
        "This document couldn't be read, through our fault. Try again, or save it in another form."
    ),
    "address_bad_address": "This address can't be read. Please check it.",
    "address_unreachable": (
        "Nothing answers at this address. Check it, and that the page is open to everybody on the"
        " Internet."
    ),
    "address_bad_certificate": "This site's certificate isn't valid.",
    "address_redirected": "This address leads to another site. Give the final address.",
    "address_status": "The site refuses this address: there is no such page, or it isn't public.",
    "address_too_large": "The page is too large (10 MB at most).",
    "address_too_slow": "The site didn't answer in time. Try again later.",
    "address_bad_answer": "The site's answer can't be understood.",
    "address_token_refused": "This site doesn't accept these credentials.",
    "knowledge_full": (
        "There is no more room for your documents. Delete some that your customers don't ask for."
    ),
    "knowledge_too_long": (
        "This document is too long. Split it into several, and leave out what your customers don't"
        " ask for."
    ),
    "question_invalid": "Ask a question of one line (500 characters at most).",
    "question_found": "This is what your assistant can answer.",
    "question_ambiguous": (
        "Several lines answer: your assistant will ask the customer which one is meant."
    ),
    "question_nothing": (
        "Nothing in your documents: your assistant will say that it doesn't know, and offer to"
        " take a message."
    ),
}
