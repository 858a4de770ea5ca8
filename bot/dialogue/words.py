"""Small words that steer a talk, in the three languages. What a text is about is the reader's business, not ours."""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"\w+")


def fold(text: str) -> str:
    """Lower case without accents, so that one spelling finds all."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).strip()


def _any(*phrases: str, whole: bool = False) -> re.Pattern[str]:
    inside = "|".join(phrases)
    return re.compile(rf"^(?:{inside})[\s.!,]*$" if whole else rf"\b(?:{inside})\b")


_UNKNOWN = _any(
    r"no (lo )?(se|recuerdo|tengo|sabria)( \w+){0,6}",
    r"(nose|nos[eé]|ns|idk|ni idea)( \w+){0,3}|(no aplica|ninguno|no me acuerdo|no hay|prefiero no decir\w*)",
    r"(i )?(do not|don'?t) (know|remember|have (it|one|any|that|a photo))|no idea|not sure|not applicable|n/a|none",
    r"nao (sei|lembro|tenho)( \w+){0,3}|nao se aplica|nenhum(a)?|nem ideia",
    whole=True,
)
_CORRECTION = re.compile(
    r"^(si|yes|sim),? (pero|but|mas)\b|^(que )?no (fue|era)\b|^(it )?was not\b|^it wasn.t\b|^nao foi\b"
    r"|^(no|nao)([,.;:]|\s+(es|era|son|it'?s|it is|e|era) (el|la|los|las|the|o|a|un|una)\b)"
    r"|^(perdon|perdona|disculpa|desculpa|corrijo|corrige|correccion|sorry|wait|actually|correction|na verdade"
    r"|me equivoque|errei|mejor dicho|quise decir|i mean|oops)\b[\s,.:;]"
    r"|\b(me equivoque|quise decir|i meant|quis dizer|en realidad es|na verdade e|is wrong|esta mal el|esta errado)\b"
)
_ASKING = re.compile(
    r"^(y |and |e )?(que|cual|cuales|cuanto|cuanta|cuantos|cuando|donde|como|quien|por que|a que|hasta que|hay|tienen"
    r"|puedo|until what|what|which|how|when|where|who|why|do you|can i|is there|are you"
    r"|qual|quais|quanto|quando|onde|quem|ate que|posso|tem)\b"
)
_WISH = re.compile(
    r"\b(quiero|quisiera|me gustaria|espero|exijo|pido|me basta|bastaria|que me (\w+ )?\w+[ae]n|me (lo|la) cambi\w+"
    r"|devuel\w+|devol\w+|reembols\w+|disculpa|reparen|compens\w+|descuento|que (capaciten|arreglen|mejoren|cambien)"
    r"|lo justo|(i )?want|i would like|i'?d like|refund|replace\w*|apolog\w+|compensat\w+|discount|enough for me"
    r"|repair|fix it|fair|quero|gostaria|espero|troquem|trocar|reembolso|desculpas|conserto|treinem|basta)\b"
)
_WHEN = re.compile(
    r"\b(ayer|hoy|anoche|lunes|martes|miercoles|jueves|viernes|sabado|domingo|manana|tarde|noche|a las|sede|tienda"
    r"|sucursal|oficina|yesterday|today|monday|tuesday|wednesday|thursday|friday|saturday|sunday|morning|afternoon"
    r"|evening|around|store|shop|branch|office|ontem|hoje|segunda|terca|quarta|quinta|sexta|manha|as \d+|loja|filial"
    r"|llev(o|amos) \w+ (horas?|dias?|semanas?|meses?)|hace \w+ (dias?|semanas?|meses?)"
    r"|\w+ (days?|weeks?|months?) ago|ha \w+ (dias?|semanas?|meses?))\b"
)
_INSULT = re.compile(
    r"\b(idiotas?|imbecil\w*|estupid\w*|ladron\w*|inutil\w*|mierda|basura|porqueria|malparid\w+|hijueput\w+|pendej\w+"
    r"|cabron\w*|put[oa]s?|stupid|idiots?|morons?|thie(f|ves)|useless|shit\w*|crap|bastards?|fuck\w*|assholes?"
    r"|ladr(ao|oes)|lixo|merda|burros?|inuteis|filh\w+ da puta|otari\w+"
    r"|otro (robot|bot)|another (robot|bot)|outro (robo|bot)|lo que faltaba)\b"
    r"|[😡🤬😠👿🖕💢]"
)
_BARE_STATUS = _any(
    r"¿?(el |mi )?(estado|estatus|seguimiento)( (de mi|del) (caso|reclamo))?( por favor)?[?]?",
    r"(my |case )?status,?( please)?[?]?|tracking",
    r"(o )?(andamento|situacao)( do (meu )?caso)?( por favor)?[?]?",
    whole=True,
)
_CASE = _any(
    r"casos?|pqrs?|quejas?|reclamos?|radicados?|tickets?|solicitud(es)?|denuncias?|tramites?|codigos?|seguimiento",
    r"cases?|complaints?|claims?|requests?|reports?|codes?",
    r"reclamac(ao|oes)|protocolos?|chamados?|queixas?|solicitac(ao|oes)",
)
_LANGUAGE = (
    ("en", re.compile(r"\b(in english|english please|speak english|en ingles|em ingles)\b")),
    ("es", re.compile(r"\b(en espanol|in spanish|em espanhol|en castellano)\b")),
    ("pt", re.compile(r"\b(em portugues|in portuguese|en portugues)\b")),
)
_CHANNELS = (
    ("email", re.compile(r"\b(correo|e-?mail|mail)\b")),
    ("telegram", re.compile(r"\btelegram\b")),
    ("whatsapp", re.compile(r"\b(whatsapp|whats|wasap|guasap|wsp|wpp|zap|zapzap)\b")),
    ("sms", re.compile(r"\b(sms|mensaje de texto|text message|torpedo)\b")),
)
_REACH_ME = re.compile(
    r"\b((escrib|respond|contest|mand|envi|avis|contact|inform|notifi)\w*(me|nos)|prefiero|preferiria|por favor por"
    r"|write (to )?me|reach me|reply (to me )?(by|on|to)|answer me|let me know|update me"
    r"|(message|e-?mail|contact) me|(puede|podria|pode) ser por"
    r"|i('d| would)? (prefer|rather)|escrev\w+-me|prefiro|me (escrev\w+|avis\w+|mand\w+|contat\w+|respond\w+)"
    r"|(cambia\w*|switch|change|muda\w*|troca\w*) (a|al|el canal|to|para|o canal)|mejor por|melhor por)\b"
)
_RESEND = re.compile(
    r"\b(reenvi\w+|otro codigo|resend|send it again|another code|outro codigo"
    r"|no (me )?(ha )?lleg\w+ .*(codigo|correo|mail)|(did ?n.t|never) (get|arrive).*(code|mail)"
    r"|(codigo|e-?mail|correo|code) .*(no (me )?(ha )?lleg\w+|did ?n.t (get|arrive)|nao chegou)"
    r"|nao (chegou|recebi) .*codigo)\b"
)
_NAME = re.compile(
    r"(?i:\b(?:me llamo|mi nombre es|my name is|meu nome é|me chamo|soy|i'm|i am|sou o|sou a|sou)\s+)"
    r"([A-ZÁÉÍÓÚÑÂÊÔÃÕÇ][a-záéíóúñâêôãõç]+(?:\s[A-ZÁÉÍÓÚÑÂÊÔÃÕÇ][a-záéíóúñâêôãõç]+){0,3})"
)
_TYPES = (
    ("felicitacion", re.compile(r"\b(felicit\w+|congratulat\w+|compliment\w*|praise|elogi\w+|parabens|parabenizar)\b")),
    ("sugerencia", re.compile(r"\b(idea|sugerencia|sugerir|suggest\w*|ideia|sugestao)\b")),
    (
        "reclamo",
        re.compile(
            r"\b(reclamo|reclamacion|repar\w+|devuel\w+|devol\w+|claim|repair\w*|refund\w*|replace\w*|consert\w+)\b"
        ),
    ),
    ("queja", re.compile(r"\b(queja|salio mal|complaint|went wrong|queixa|reclamacao|deu errado)\b")),
    ("peticion", re.compile(r"\b(peticion|pedir algo|solicitud|request|ask for|pedido|pedir|solicitacao)\b")),
)
_NO_CONTENT = frozenset(
    _WORD.findall(
        "hola buenas buenos dias tardes noches hello hi hey good morning afternoon evening ola oi bom boa dia "
        "tarde noite quiero quisiera necesito deseo poner hacer presentar tengo un una unos el la los las de "
        "del por favor gracias para con mi me es esta este esto reclamo queja peticion sugerencia "
        "felicitacion reclamos quejas pqr pqrs caso problema i want would like need to have make file a an "
        "the please thanks this is my it claim complaint request suggestion compliment case problem quero "
        "gostaria preciso fazer registrar tenho um uma o os as obrigado obrigada com meu minha reclamacao "
        "pedido sugestao elogio que y and e do da "
    )
)


def words_of_content(text: str) -> int:
    """How many words are left without greetings and the bare wish to report something."""
    return sum(1 for word in _WORD.findall(fold(text)) if word not in _NO_CONTENT)


def unknown(text: str) -> bool:
    """ "I do not know", "I have none": the question is not asked again."""
    return bool(_UNKNOWN.match(fold(text)))


def corrects(text: str) -> bool:
    """Something that was said before is taken back."""
    return bool(_CORRECTION.search(fold(text)))


def asks(text: str) -> bool:
    """A question of their own, no answer to ours."""
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n", text.strip()) if part]
    last = sentences[-1] if sentences else ""
    plain = fold(last).lstrip("¿ ")
    return last.endswith("?") and bool(_ASKING.match(plain) or (len(plain.split()) <= 8 and _ASKS_WHEN.search(plain)))


def wishes(text: str) -> bool:
    """Says what would make it good."""
    return bool(_WISH.search(fold(text)))


def starts_wishing(text: str) -> bool:
    """Begins with what shall be done."""
    return bool(
        re.match(r"(y |and |e )?(que |q |quier|quisiera|me gustaria|i want|i would|i'?d like|quero )", fold(text))
    )


def says_when(text: str) -> bool:
    """Says a time or a place."""
    return bool(_WHEN.search(fold(text)))


_SHOWS_FILE = re.compile(
    r"\b(foto|fotos|imagen|captura|archivo|pdf|video|comprobante|photo|picture|file|screenshot|imagem|arquivo)\b"
)
_ASKS_WHEN = re.compile(
    r"\b(cuando|cuanto (se )?(tarda|tiempo|demora)\w*|cuanto falta|para cuando|hasta cuando|how long|when|quando"
    r"|quanto tempo|demora muito)\b"
)


def shows_file(text: str) -> bool:
    """A few words that only go with a file ("ahí va la foto")."""
    return bool(_SHOWS_FILE.search(fold(text))) and len(text.split()) <= 7


def asks_when(text: str) -> bool:
    """Asks how long it takes."""
    return text.rstrip().endswith("?") and bool(_ASKS_WHEN.search(fold(text)))


_HAS_NONE = re.compile(
    r"\b(no (tengo|hay|se|puedo)|i (do not|don'?t) (have|know)|i can'?t|nao (tenho|sei|consigo)|nose)\b"
)
_GIVES_UP = _any(
    r"(ok,? |bueno,? |no,? |pues )?(ya )?(no importa|da igual|que mas da|dejen?lo (asi|ya)|dejalo asi|olvidenlo"
    r"|olvidalo|mejor dejemos asi)( \w+){0,2}",
    r"(ok,? |well,? )?(never ?mind|forget (about )?it|it does ?n.?t matter( anymore)?|leave it)( \w+){0,2}",
    r"(ok,? )?(deixa?m? (pra|para) la|nao importa mais|tanto faz|esquece\w*|nao precisa mais)( \w+){0,2}",
    whole=True,
)


def has_none(text: str) -> bool:
    """Says that they have, know or can do none of it, and wants nothing."""
    wants = re.search(
        r"\b(quier\w+|quisiera|que (me|nos|lo|la)|want|would like|i'?d like|quero|gostaria)\b", fold(text)
    )
    return bool(_HAS_NONE.search(fold(text))) and not wants


_LAUGH = _any(r"(a?(ja|je|ji|ha|he|hi|rs)+[jhs]?|k{2,}|x+d+|lo+l|lmao|e+h+|a+h+|o+h+|u+f+|h?m+)", whole=True)
_LINK = re.compile(r"https?:|\bwww\.|\b[\w-]+\.(com|net|org|info|co|io|shop|xyz)\b")


def idle(text: str) -> bool:
    """Answers nothing, whatever was asked: a laugh, a face, an advert with its link, a question of their own."""
    plain = fold(text)
    laughs = all(_LAUGH.match(word) for word in plain.split())
    return laughs or not _WORD.search(plain) or bool(_LINK.search(plain)) or plain.endswith("?")


def gives_up(text: str) -> bool:
    """ "It does not matter any more": said out of weariness, and no word that it is solved."""
    return bool(_GIVES_UP.match(fold(text)))


def names_case(text: str) -> bool:
    """Speaks of a case that was opened before."""
    return bool(_CASE.search(fold(text)))


def only_status(text: str) -> bool:
    """ "estado" and no more, which a model may take for a yes."""
    return bool(_BARE_STATUS.match(fold(text)))


def impatient(text: str) -> bool:
    """Asks where we are."""
    waits = re.search(r"\b(sigo esperando|alguien|still waiting|anybody|anyone|ainda esperando|alguem)\b", fold(text))
    return text.rstrip().endswith("?") or bool(waits)


def insults(text: str) -> bool:
    """Holds an insult."""
    return bool(_INSULT.search(fold(text)))


def wanted_language(text: str) -> str | None:
    """The language that the text asks for."""
    folded = fold(text)
    return next((code for code, cue in _LANGUAGE if cue.search(folded)), None)


def named_channel(text: str) -> str | None:
    """A kind of channel that the text names; an e-mail address alone names none."""
    folded = re.sub(r"\S+@\S+", " ", fold(text))
    return next((kind for kind, cue in _CHANNELS if cue.search(folded)), None)


def wanted_channel(text: str) -> str | None:
    """The kind of channel by which the person asks to be written to."""
    short = re.search(r"\b(mejor|melhor|better|instead)\b", fold(text)) and len(text.split()) <= 4
    return named_channel(text) if (short or _REACH_ME.search(fold(text))) and len(text) < 160 else None


def named_type(text: str) -> str | None:
    """The type whose name, or the words of whose button, a short answer holds."""
    folded = fold(text)
    if len(folded.split()) > 9:
        return None
    return next((name for name, cue in _TYPES if cue.search(folded)), None)


_NOT_YET = re.compile(
    r"\b(todavia no|aun no|sigue (igual|sin)|no quedo|not yet|still (not|does|no)"
    r"|ainda nao|continua (igual|sem)|nao ficou)\b"
)
_RATHER_NOT = _any(
    r"((mejor|prefiero|preferiria) )?no( (responder|contestar|decir|opinar)\w*)?|ahora no|paso|no,? (muchas )?gracias",
    r"(i('d| would) )?(rather|prefer) not( to)?( say| answer)?|not now|no,? (thanks|thank you)|skip( it)?",
    r"((melhor|prefiro) )?nao( (responder|dizer|opinar))?|agora nao|nao,? (muito )?obrigad[oa]",
    whole=True,
)
_SAME = _any(
    r"(si, )?(es |e |it'?s |it is )?(el |lo |la |the |o |a )?(mism[oa]|same|mesm[oa])( \w+){0,3}|1", whole=True
)
_OTHER = _any(
    r"(no|nao)?,? ?(es |e |it'?s |it is )?(un |una |a |an |uma? |algo )?"
    r"(otr[oa]|nuev[oa]|distint[oa]|different|another|new|outr[oa]|nov[oa]|diferente)( \w+){0,3}|2",
    whole=True,
)


def not_yet(text: str) -> bool:
    """It is still not well."""
    return bool(_NOT_YET.search(fold(text)))


def rather_not(text: str) -> bool:
    """Does not want to answer a question that need not be answered."""
    return bool(_RATHER_NOT.match(fold(text))) and not not_yet(text)


def same(text: str) -> bool:
    """It belongs to the same case."""
    return bool(_SAME.match(fold(text)))


def here(text: str) -> bool:
    """By the channel where we are."""
    return bool(
        re.search(r"\b((aqui|aki|aca)|por aca|este (chat|medio|canal)|here|this (chat|way)|por aqui)\b", fold(text))
    )


def another(text: str) -> bool:
    """It is something else."""
    return bool(_OTHER.match(fold(text)))


def wants_again(text: str) -> bool:
    """The code did not arrive."""
    return bool(_RESEND.search(fold(text)))


def told_name(text: str) -> str | None:
    """The name of somebody who introduces themselves."""
    found = _NAME.search(text)
    return found.group(1) if found else None


_USTED = (
    r"\b(usted|sirvanse|sirvase|digame|indiqueme|ayudeme|expliqueme|respondame|permitame|disculpe|senorita|oiga|mire"
    r"|(cordial|respetuoso) saludo|atentamente|cordialmente|me permito"
    r"|le (agradezco|agradeceria|cuento|solicito|pido|ruego|escribo))\b"
)


def uses_usted(text: str) -> bool:
    """Addresses us with the formal Spanish pronoun."""
    return bool(re.search(_USTED, fold(text)))


def sentences(text: str) -> Iterable[str]:
    """The text cut at full stops and line breaks."""
    return [part.strip() for part in re.split(r"(?<=[.!;])\s+|\n+", text) if part.strip()]
