"""English, for tenants whose callers speak it."""

from collections.abc import Mapping
from typing import Final

ALGORITHM: Final = "english"

STOP: Final = """
a about after again all also am an and any are as at be because been before being below between
both but by can cant could did do does doesnt doing dont down during each few for from further
had has have having he hello her here hi him his how i id if ill im in into is isnt it its ive
just let like me more most much many my no nor not now of off ok okay on once only or other our
out over own please same she should so some such than thank thanks that thats the their them
then there these they this those through to too under until up us very was we were what whats
when where which while who whom why will with would yes you your youre yours yet um uh er well
know tell want wondering wonder ask asking need get got give long offer cost costs charge
charges euro euros pound pounds eur gbp something anything thing things possible sir madam good
morning afternoon evening
"""

WEAK: Final = """
duration change changing replace replacement repair repairing fix fixing fit fitting install
installation service services complete full simple standard new first day days week month year
time times person people customer customers price pay come bring leave pick small big large
product products item
"""

INCIDENTAL: Final = """
car vehicle son daughter husband wife mother father mum dad child children baby kid kids friend
today tomorrow week next soon quickly looking
"""

SAME: Final = """
price cost rate fee fees
hours open opening opens opened close closing closes closed
parking park
address located location directions
phone telephone number
email mail
appointment booking
card visa mastercard
cancel cancellation cancelling
deliver delivery
free complimentary
duration last lasts
accessible wheelchair disabled
dog pet animal pets dogs
tyre tire tyres tires
aircon climate
haircut cut
colour color colouring
allergy allergic allergen
"""

PHRASES: Final[Mapping[str, str]] = {
    r"how much": " price ",
    r"how long": " duration ",
    r"what time|until when": " hours ",
    r"(?:credit|debit|bank) cards?": " card ",
    r"air con(?:ditioning)?": " aircon ",
    r"courtesy (?:car|vehicle)|loan car": " courtesycar ",
    r"week ?ends?": " saturday sunday ",
    r"where are you": " address ",
}

PREFIXES: Final = "anti auto mini micro multi tele extra pre semi sub inter"

FACTS: Final[Mapping[str, str]] = {
    r"\b\d{1,4},? (?:[a-z]+ ){1,3}(?:street|road|avenue|lane|square|drive|st|rd|ave)\b": "address",
    r"\b\d+ ?(?:min|minutes?|h|hours?|days?|weeks?|months?|years?)\b": "duration",
    r"[\w.+-]+@[\w-]+\.\w": "email",
    r"(?<!\d)\+?\d(?:[ .-]?\d\d?){5,7}(?!\d)": "phone",
    r"\b\d{1,2}(?:[:.]\d\d)? ?(?:am|pm)\b": "hours",
}
