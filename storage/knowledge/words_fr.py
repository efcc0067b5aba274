"""French, as it is written in price lists and spoken on the telephone (transcribed, often without
accents and apostrophes)."""

from collections.abc import Mapping
from typing import Final

ALGORITHM: Final = "french"

STOP: Final = """
contre loin proche cote a ai aie aient aies ait allo alors apres as au aucun aucune auquel
auquelle aurai aurais aurait auriez aussi autre autres aux auxquels avaient avais avait avec
avez aviez avions avoir avons ayant ayez bah bas beaucoup ben bien bof bon bonjour bonsoir bonne
bref ca car ce ceci cela celle celles celui cependant certain certaine certaines certains ces
cest cet cetait cette ceux cf chacun chaque chez ci comme comment connaitre d da dabord daccord
dans de deja depuis des desole desolee desormais dessous dessus dire dis disons dit dites doit
dois doivent donc donne donner donnez dont du dun dune elle elles en encore enfin entre es est
estce et etaient etais etait etant ete etes etre eu euh eux excuse excusez faire fais faisait
faisez fait faite faites fasse faudra faudrait faut ferait feriez font fois genre gens grace h
hein hmm hum i ici il ils j jai jaimerai jaimerais jamais jaurais jaurai je jen jetais jvoudrais
juste justement jusque jvais kestion l la lai laquelle le lequel les lesquelles lesquels leur
leurs lui m ma madame mais malgre me meme memes merci mes mettre moi moins mon monsieur mettez
mieux n na ne nest neanmoins ni non nos notre nous nya o oh ok on ont or ou ouais oui par parce
pardon parfois parler part partir pas peu peut peuvent peux plait plus plusieurs plutot point
possible pour pourquoi pourrai pourrais pourrait pourriez pouvait pouvez pouvoir precisement
prendre prend prends prenez pres pris pu puis puisque qu quand quasi que quel quelle quelles
quels quelquechose quelque quelques quelquun quest qui quil quils quoi quon s sa sais sait sans
sauf savez savoir se sera serai serait seriez ses sest si sil sils simplement sinon soit sommes
son sont souci sous souhaite souhaiterais souhaiterai souhaitez sur sus svp t ta tant te tel
telle tellement tels tes tiens toi ton toujours tous tout toute toutes tres trop tu un une va
vais vas vers veuillez veut veux via voici voila voir vois voit vont vos votre voudrai voudrais
voudrait voulais voulait voulez vouloir vous vraiment vu y ya question questions renseigner
renseignement renseignements info infos information informations demander demande appelle
appeler appel cadre propose proposer proposez proposent accepte accepter acceptez acceptent
existe existent combien coute coutent couterait coutera coutait compter compte comptez revient
reviendrait euro euros eur ttc ht hi puisse sagit concerne concernant propos rapport sujet
niveau cas chose choses truc trucs sorte type stp maintenant actuellement normalement exactement
environ peutetre heure heures minute minutes marche passe passer rend rendre arrive arriver
"""

#: Say little: what one has done to a thing, and the words for a service as such.
WEAK: Final = """
duree changer changement remplacer remplacement reparer reparation refaire poser pose installer
installation forfait prestation prestations service services intervention travaux entretien main
oeuvre complet complete simple classique standard nouveau nouvelle nouveaux premier premiere
type besoin avoir obtenir trouver utiliser acheter vendre vente achat choisir choix jour jours
semaine mois annee fois domicile age reference matin midi soir demain client clients clientele
personne personnes gens pouvoir devoir venir viens vient aller retour deposer laisser recuperer
recupere garder prix tarif tarifs payer cher payant petit petite grand grande gros grosse
produit produits article
"""

INCIDENTAL: Final = """
voiture vehicule auto bagnole clio megane twingo captur scenic kangoo zoe renault peugeot
citroen dacia sandero duster volkswagen golf polo audi bmw mercedes toyota yaris ford fiesta
focus fiat opel corsa nissan qashqai kia hyundai tesla seat ibiza skoda c3 c4 208 308 2008 3008
206 207 fille fils mari epoux epouse pere mere maman papa enfant enfants bebe famille copain
copine ami amie amis collegue patron aujourdhui demain hier semaine prochaine prochain
prochainement bientot vite rapidement mois matin midi soir apresmidi interesse interessee
interesserait cherche recherche penser pense crois croit habite vis
"""

#: The words of a line are one term.
SAME: Final = """
prix tarif cout montant tarification
horaire ouvert ouvre ouvrez ouvrent ouverture ouvrir ouverts ouverte fermeture fermees
horaire ferme fermes fermez fermer fermee
parking garer stationner stationnement
adresse situe situes situee trouve trouvez trouver localise
telephone numero joindre joignable
mail email courriel mel
rdv rendezvous
voiture vehicule automobile auto bagnole
medecin docteur praticien dr
appartement appart
climatisation clim climatiseur
pneu pneumatique
paiement payer payez regler reglement paie paye
cb cartebancaire
annuler annulation annule decommander
reserver reservation resa
livrer livraison livreur
devis estimatif
gratuit gratuite offert offerte gratuitement offerts offertes
vehiculepret pret
duree dure durer longtemps delai delais
accessible accessibilite pmr handicape handicap fauteuil
chien animal chat animaux chiens chats
bus tram tramway metro
enfant enfants gamin gosse bebe
remboursement rembourse rembourser remboursee mutuelle
cheque cheques
couleur coloration colorer teinture
coupe couper
barbe barbier
lunettes lunette
ordonnance prescription
vaccin vaccination vacciner vaccins
plaquette plaquettes
vidange vidanger vidanges
location louer loue louez
visite visiter visites
caution depot
honoraire honoraires commission
estimation estimer evaluer
vegetarien vegetarienne vegetariens vege vegetariennes
vegan vegetalien vegane vegans
terrasse terasse
allergie allergique allergene allergenes
anniversaire anniv
conge vacances conges
certificat attestation
age an ans
papier document justificatif papiers
revenu gagner salaire
restaurant resto
travail travaux
animal animaux
kinesitherapeute kine
entretien entretenir entretenez
essence sp95 sp98
"""

#: On text without accents and apostrophes, hyphens read as spaces.
PHRASES: Final[Mapping[str, str]] = {
    r"combien de temps": " duree ",
    r"combien (?:ca|cela) dure": " duree ",
    r"(?:quelle|quel|c est a quelle|a quelle) heure": " horaire ",
    r"jusqu a quand|jusqu a quelle heure|jusqua quelle heure": " horaire ",
    r"carte (?:bleue|bancaire|de credit)|carte visa": " cb ",
    r"rendez vous|rdvs": " rdv ",
    r"sans rdv": " sansrdv ",
    r"est ce que|est ce qu|qu est ce que|qu est ce qu|quest ce que|c est quoi|cest quoi": " ",
    r"s il vous plait|s il te plait|sil vous plait": " ",
    r"il y a|y a t il|ya t il|y a|c est|cest|n est|d un|d une|l on": " ",
    r"pret(?:ez|er|e|ent|ons)? (?:vous |nous )?(?:de |d |une |des |un )?"
    r"(?:voitures?|vehicules?)(?: de (?:pret|courtoisie|remplacement))?": " vehiculepret ",
    r"(?:voitures?|vehicules?) (?:de |d )?(?:pret(?:e|ee|es)?|courtoisie|remplacement)": (
        " vehiculepret "
    ),
    r"ou est ce que vous etes|vous etes (?:ou|situes?|bases?)": " adresse ",
    r"ou etes vous|ou se trouve|(?:c est|se trouve) ou": " adresse ",
    r"week ?end": " samedi dimanche ",
    r"en (?:plusieurs|[234]|trois|quatre|deux) fois": " plusieursfois ",
    r"(?:3|4|trois|quatre) fois sans frais": " plusieursfois ",
    r"facilites? de paiement": " plusieursfois ",
    r"a partir d(?:e|u|es)": " ",
    r"tiers payant": " tierspayant ",
    r"carte vitale": " cartevitale ",
    r"air conditionne": " climatisation ",
    r"boite (?:de vitesses? )?auto(?:matique)?": " boiteautomatique ",
    r"(?:cheque|bon|carte)s? cadeaux?": " cadeau ",
    r"mobilite reduite": " pmr ",
    r"rez de chaussee": " etage ",
    r"transports? en commun": " bus ",
    r"apres midi": " apresmidi ",
    r"aujourd hui": " aujourdhui ",
}

#: Written apart, together or with a hyphen.
PREFIXES: Final = (
    "anti auto mini micro multi tele extra para semi sous inter hydro electro bio co pre"
)

#: Terms that a passage is given for what stands in it: nobody writes "adresse" beside one.
FACTS: Final[Mapping[str, str]] = {
    r"\b\d{5} [a-z]{2}|\b\d{1,4}(?: bis| ter)?,? "
    r"(?:rue|avenue|av|quai|place|boulevard|bd|chemin|route|allee|impasse|cours) ": "adresse",
    r"\b\d+ ?(?:min|minutes?|h|heures?|jours?|semaines?|mois|ans)\b": "duree",
    r"[\w.+-]+@[\w-]+\.\w": "mail",
    r"(?<!\d)0[1-9](?:[ .-]?\d\d){4}(?!\d)": "telephone",
    r"\b\d{1,2} ?h(?:\d\d| \d\d|\b)(?:(?! h\b).){1,12}\b\d{1,2} ?h(?:\d\d|\b)": "horaire",
}
