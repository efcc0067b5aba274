"""What the dashboard says about agendas: hours, resources, services, exceptions, rules."""

from collections.abc import Mapping

FRENCH: Mapping[str, str] = {
    "agenda_saved": "Les règles de l’agenda sont enregistrées.",
    "agenda_number": "Une valeur est hors limites, ou n’est pas un multiple de 5.",
    "agenda_exception_removed": "Ces jours suivent de nouveau vos horaires habituels.",
    "availability_saved": "Les disponibilités sont enregistrées.",
    "exception_order": "Le dernier jour doit suivre le premier.",
    "holiday_region_unknown": "Les jours fériés de cette région ne sont pas connus.",
    "holiday_hours_missing": "Indiquez les heures d’ouverture des jours fériés.",
    "length_is_the_services": (
        "La durée d’un rendez-vous se règle par prestation, ou pour tout l’agenda."
    ),
    "price_invalid": "Le prix doit être un montant en euros, avec deux décimales au plus.",
    "color_invalid": "La couleur doit s’écrire #rrggbb.",
    "resource_unknown": "Cette personne, salle ou ressource est introuvable.",
    "resource_has_appointments": (
        "Des rendez-vous à venir lui sont attribués. Déplacez-les ou annulez-les d’abord."
    ),
    "resource_only_one": (
        "C’est la seule ressource d’une prestation. Choisissez-en une autre d’abord."
    ),
    "resource_removed": "La ressource est retirée de l’agenda.",
    "service_unknown": "Cette prestation est introuvable.",
    "service_removed": "La prestation n’est plus proposée.",
    "period_too_long": "La période demandée est trop longue (un an au plus).",
}

ENGLISH: Mapping[str, str] = {
    "agenda_saved": "The rules of the agenda are saved.",
    "agenda_number": "A value is out of bounds, or no multiple of 5.",
    "agenda_exception_removed": "These days follow your usual hours again.",
    "availability_saved": "The availability is saved.",
    "exception_order": "The last day must not come before the first.",
    "holiday_region_unknown": "The public holidays of this region aren't known.",
    "holiday_hours_missing": "Give the opening hours of public holidays.",
    "length_is_the_services": "The length of appointments is set per service, or for all of them.",
    "price_invalid": "The price must be an amount in euros, with two decimals at most.",
    "color_invalid": "The colour must be written #rrggbb.",
    "resource_unknown": "This person, room or resource can't be found.",
    "resource_has_appointments": "It has appointments to come. Move or cancel them first.",
    "resource_only_one": "Nobody else can do one of the services. Choose somebody first.",
    "resource_removed": "The resource is taken out of the agenda.",
    "service_unknown": "This service can't be found.",
    "service_removed": "The service is offered no more.",
    "period_too_long": "The period asked for is too long (a year at most).",
}
