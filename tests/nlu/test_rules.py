"""R030-R034, R043, R044, R048: what the rules make of short messages in three languages."""

from datetime import UTC, datetime

import pytest

from nlu.language import detect
from nlu.understander import read_by_rules
from nlu.understanding import Hint, Understanding

NOW = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)


def read(text: str, pending: str | None = None, language: str | None = None) -> Understanding:
    return read_by_rules(text, Hint(now=NOW, pending=pending, language=language)).understanding


TYPES = {
    "peticion": """
        necesito un certificado de afiliación
        ¿Cuáles son los horarios de atención?
        quisiera saber cómo cambio de plan
        Solicito copia de mi contrato por favor
        borren mis datos personales
        can you send me a copy of my invoice?
        what are your opening hours
        I would like to update my address
        How do I cancel my subscription?
        please delete my personal data
        gostaria de saber o horário de funcionamento
        preciso da segunda via do boleto
        como faço para trocar a senha
        quais documentos preciso para abrir conta?
        """,
    "queja": """
        el cajero fue muy grosero conmigo
        una persona me trató mal
        Esperé dos horas en la fila y nadie me atendió
        pésimo servicio, qué falta de respeto
        los baños estaban sucios
        the cashier was so rude to me
        I waited an hour on hold
        terrible customer service
        nobody answers your phone
        a atendente foi muito mal educada
        péssimo atendimento
        fiquei duas horas na fila
        deberían aprender a atender
        thanks for nothing
        """,
    "reclamo": """
        llegó rota la licuadora
        quiero que me devuelvan el dinero
        me cobraron dos veces la factura
        Llevo dos semanas esperando / la licuadora llegó rota / y nadie contesta!!
        el pedido nunca llegó
        no funciona el internet desde el lunes
        me mandaron otra talla, quiero el cambio
        my order never arrived
        I was charged twice
        the blender arrived broken, I want a refund
        the internet is down again
        where is my refund?
        meu pedido não chegou
        quero meu dinheiro de volta
        fui cobrado duas vezes
        o produto veio com defeito
        cuándo me devuelven la plata
        el cajero fue grosero y quiero que me devuelvan el dinero
        """,
    "sugerencia": """
        deberían dejar pagar con QR
        sería bueno que abrieran los domingos
        les sugiero poner más sillas
        estaría genial una app
        you should accept QR payments
        it would be great if you opened on Sundays
        I suggest adding a dark mode
        vocês deveriam aceitar pix
        seria ótimo ter mais vagas
        sugestão: abram aos sábados
        """,
    "felicitacion": """
        Felicitaciones a Carlos el tecnico, muy amable y rapido
        excelente servicio, quedé muy contenta
        me encantó la atención
        gracias a Marta por su paciencia
        Congratulations to Carlos the technician, very kind and quick
        great service, thank you
        the staff was amazing
        parabéns pelo excelente atendimento
        adorei o produto
        o atendente foi muito gentil
        """,
    "otro": """
        hola
        buenos días
        hello
        bom dia
        gracias
        ok
        jajaja
        quiero hablar con una persona
        número equivocado
        """,
}


def rows(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(line.strip(), label) for label, lines in table.items() for line in lines.splitlines() if line.strip()]


@pytest.mark.parametrize(("text", "kind"), rows(TYPES))
def test_r030_type(text: str, kind: str) -> None:
    assert read(text).type == kind


def test_r032_the_same_text_with_a_demand_is_a_reclamo() -> None:
    assert read("el mesero fue muy grosero y la atención pésima").type == "queja"
    assert read("el mesero fue muy grosero y la atención pésima, devuélvanme el dinero").type == "reclamo"


def test_a_stated_negation_is_believed() -> None:
    assert read("no es una queja, solo quiero saber el horario").type == "peticion"
    assert read("this is not a complaint, I would like to know your hours").type == "peticion"


def test_typos_capitals_and_missing_accents() -> None:
    assert read("QUIERO MI REEMBOLZO!!! NO FUNSIONA").type == "reclamo"
    assert read("felicitasiones por la atencion").type == "felicitacion"
    assert read("kiero ablar con una perosna").act == "human"


def test_without_evidence_the_rules_are_not_sure() -> None:
    assert not read("la cosa verde de la mesa").sure
    assert read("quiero que me devuelvan el dinero").sure


ACTS = {
    "human": """
        persona
        Agente
        HUMANO
        quiero hablar con alguien
        quiero hablar con una persona
        pásame con un asesor por favor
        comuníqueme con el supervisor
        no quiero hablar con un robot
        human
        agent please
        can I talk to a person
        I want to speak with a real human
        get me a manager
        atendente
        quero falar com um atendente
        falar com atendente
        me passa para uma pessoa
        llegó roto, quiero hablar con alguien YA
        """,
    "report": """
        una persona me trató mal
        hablé con un asesor y me colgó
        logré hablar con una persona y fue grosera
        I spoke to an agent and he hung up
        the agent was rude
        falei com um atendente ontem e nada
        el pedido llegó roto
        una baja de tensión dañó mi nevera
        please stop the charges on my card, the order is wrong
        """,
    "greeting": """
        hola
        Buenas tardes!
        hola, buenos días
        hi
        hello there
        are you there?
        oi
        bom dia
        holaaaa
        hay alguien ahí?
        """,
    "status": """
        estado 7K3M9QX
        estado PQR-7K3M9QX
        7K3M9QX
        pqr 7k3m9qx
        cómo va mi caso
        cuál es el estado de mi solicitud
        how is my case
        what is the status of my complaint?
        any update on my ticket
        como está meu caso
        andamento da minha reclamação
        """,
    "thanks": """
        gracias
        muchas gracias!
        mil gracias
        thanks
        thank you so much
        obrigada
        muito obrigado
        🙏
        """,
    "affirm": """
        sí
        si
        SI
        siiii
        claro que sí
        correcto
        Sí, correcto
        Acepto
        yes
        yes please
        sim
        isso mesmo
        👍
        dale
        """,
    "deny": """
        no
        No, gracias
        todavía no
        No acepto
        not yet
        no thanks
        não
        ainda não
        👎
        """,
    "stop": """
        stop
        STOP
        baja
        no quiero recibir más mensajes
        no me escriban más
        unsubscribe
        stop texting me
        parem de me mandar mensagens
        """,
    "smalltalk": """
        jajaja
        eres un robot?
        are you a bot
        idiota
        wrong number
        kkkkk
        """,
    "spam": """
        Gana dinero desde casa, haz clic aquí
        You won an iphone, click here
        Ofrecemos servicios de posicionamiento web para su empresa
        """,
    "provide": """
        pedido 48213
        48213
        ana@nube.co
        """,
}


@pytest.mark.parametrize(("text", "act"), rows(ACTS))
def test_act(text: str, act: str) -> None:
    assert read(text).act == act


@pytest.mark.parametrize(
    ("text", "pending", "act"),
    [
        ("como a las 6", "when_where", "provide"),
        ("no tengo el número", "order", "provide"),
        ("sí venía golpeada. quiero que me la cambien YA", "what", "provide"),
        ("con una disculpa me basta", "solution", "provide"),
        ("1", "share", "affirm"),
        ("2", "share", "deny"),
        ("1", "order", "provide"),
        ("sí, pueden usar mi nombre", "share", "affirm"),
        ("no, el color era rojo", "confirm", "deny"),
        ("no", "order", "deny"),
        ("persona", "order", "human"),
        ("gracias", "order", "thanks"),
        ("estado 7K3M9QX", "order", "status"),
        ("quero falar com um atendente", "when_where", "human"),
    ],
)
def test_the_question_that_waits_is_taken_into_account(text: str, pending: str, act: str) -> None:
    assert read(text, pending).act == act


ALARMS = {
    "harm": """
        el cable me quemó la mano
        me caí en la escalera de la tienda y me fracturé el brazo
        terminé en urgencias por su producto
        explotó la olla en la cocina
        casi me mato por el piso mojado
        me persigue el repartidor hasta la casa
        the ladder broke and I broke my arm
        the battery exploded
        my mother can't breathe
        I slipped on the wet floor and hurt my back
        queimei a mão com o produto
        fui parar no hospital
        """,
    "electric": """
        salen chispas del enchufe
        la ducha me da corriente
        huele a quemado el tablero
        there are exposed wires hanging by the door
        the fridge gave me a shock
        a geladeira dá choque
        fio desencapado na calçada
        """,
    "gas": """
        huele a gas en el edificio
        hay una fuga de gas
        I can smell gas
        gas leak in the kitchen
        cheiro de gas muito forte
        vazamento de gás
        """,
    "food": """
        encontré un gusano en la sopa
        nos intoxicamos con el almuerzo
        I found glass in my soup
        the chicken made me sick
        achei uma barata na comida
        """,
    "medicine": """
        me dieron el medicamento equivocado
        me quedé sin insulina
        the pharmacy gave me the wrong pills
        entregaram o remédio errado
        """,
    "minor": """
        a mi hijo le dio corriente
        dejaron a la niña sola en el bus
        my daughter swallowed a piece of the toy
        my son was hurt at your playground
        meu filho se machucou no brinquedo
        """,
    "suicide": """
        me quiero morir
        ya no quiero vivir más
        I want to kill myself
        I want to end my life
        não quero mais viver
        """,
    "fraud": """
        están sacando plata de mi cuenta
        clonaron mi tarjeta
        no reconozco este cargo
        someone is using my card
        my account was hacked
        clonaram meu cartão
        não reconheço essa compra
        """,
    "data_leak": """
        publicaron mis datos en internet
        me llegó la factura de otro cliente
        you leaked my personal data
        vazaram meus dados
        """,
    "discrimination": """
        no me atendieron por ser indígena
        they refused to serve me because I am black
        fui discriminado na loja
        """,
    "legal": """
        los voy a demandar
        voy a ir a la superintendencia
        I will sue you
        my lawyer will contact you
        vou ao procon
        """,
    "press": """
        voy a publicarlo en redes
        lo contaré a la prensa
        I will post this on twitter
        vou expor vocês nas redes sociais
        """,
}


@pytest.mark.parametrize(("text", "alarm"), rows(ALARMS))
def test_r044_r048_alarms_oblique_and_plain(text: str, alarm: str) -> None:
    understood = read(text)
    found = [t for t in understood.triggers if t.alarm == alarm]
    assert found
    assert all(t.text == text[t.start : t.end] for t in understood.triggers)
    if alarm in ("legal", "discrimination", "data_leak"):
        assert understood.severity == "high"
    elif alarm != "press":
        assert (understood.severity, understood.human_now, understood.act) == ("critical", True, "report")


@pytest.mark.parametrize(
    "text",
    """
    me muero de hambre y no llega la pizza
    me mataron con ese precio
    estoy que exploto
    me muero de risa con su app
    me va a dar un infarto con esa factura
    se me murió el celular
    esto es un robo
    qué estafa de precio
    la pizza llegó quemada
    necesito el seguro contra incendios
    mato el tiempo esperando
    estoy muerta de cansancio
    me duele el bolsillo
    nadie resultó herido
    hay mucha demanda de ese plan
    la bomba de agua llegó incompleta
    me muero por probarlo
    los precios están de infarto
    I'm starving and my pizza is late
    I'm dying to try the new app
    these prices are killing me
    my phone died
    that bill gave me a heart attack
    I could kill for a coffee
    my boss will kill me
    the battery is dead
    this is highway robbery
    the pizza was burnt
    your app is the bomb
    I missed the deadline
    please press the button
    estou morrendo de fome
    morri de rir
    quase tive um infarto com a conta
    esses preços estão me matando
    vou explodir de raiva
    meu celular morreu
    isso é um roubo
    a pizza veio queimada
    """.strip().splitlines(),
)
def test_hyperbole_pages_nobody(text: str) -> None:
    understood = read(text.strip())
    assert understood.triggers == ()
    assert not understood.human_now
    assert understood.severity != "critical"


def test_harm_that_is_long_over_is_grave_but_pages_nobody() -> None:
    understood = read("hace dos años me quemé la mano con su plancha")
    assert (understood.severity, understood.human_now) == ("high", False)
    assert read("hace dos meses que sale gas en la cocina").severity == "critical"


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("el pedido no llegó", "medium"),
        ("llegó un poco rayada la caja, nada grave", "low"),
        ("es la tercera vez que llega roto", "high"),
        ("third time it arrived broken", "high"),
        ("llevo tres días sin internet", "high"),
        ("me cobraron $8.000.000 de más", "high"),
        ("me cobraron $8.000 de más", "medium"),
        ("por su culpa perdí mi vuelo", "high"),
        ("me humillaron delante de todos", "high"),
        ("deberían abrir los domingos", "low"),
        ("borren mis datos", "low"),
        ("hola", "low"),
    ],
)
def test_r035_severity(text: str, severity: str) -> None:
    assert read(text).severity == severity


@pytest.mark.parametrize(
    ("text", "now"),
    [
        ("mi boda es mañana y el vestido no llega", True),
        ("my surgery is tomorrow and the authorization has not arrived", True),
        ("perdí mi boda por su retraso", False),
        ("todo el barrio está sin luz", True),
        ("mi mamá murió ayer y siguen cobrando su plan", True),
        ("me llegó la factura de otro cliente con sus datos", True),
        ("llegó rota la licuadora", False),
    ],
)
def test_r043_when_hours_matter(text: str, now: bool) -> None:
    assert read(text).human_now is now


@pytest.mark.parametrize(
    ("text", "sticky", "language"),
    [
        ("Llevo dos semanas esperando mi pedido", None, "es"),
        ("I have been waiting for two weeks", None, "en"),
        ("estou esperando há duas semanas", None, "pt"),
        ("hello", None, "en"),
        ("ok", "pt", "pt"),
        ("si", "en", "en"),
        ("ok si", "en", "en"),
        ("gracias", "en", "en"),
        ("please tell me where my order is", "es", "en"),
        ("quero falar com um atendente agora", "es", "pt"),
        ("где мой заказ", None, "es"),
        ("", "pt", "pt"),
        ("prefiero por correo: a0@x.example", None, "es"),  # an address is in no language
        ("a nombre mío, documento 1019123456", "es", "es"),
        ("va a nombre de João da Conceição", "es", "es"),  # nor is a name
        ("es el a7b de la o2a, y el e9o", "pt", "es"),  # nor a number
        ("em São Paulo, na loja da Paulista", "es", "pt"),
        ("a nombre de Rosa Díaz", "es", "es"),  # short answers in words that a neighbour has too
        ("a las dos, por favor, entre semana", "es", "es"),
        ("he pedido un reembolso", "es", "es"),
        ("antes de todos, nada contra", "pt", "pt"),
        ("https://nube.example/a/para/que I cannot open this page", None, "en"),
    ],
)
def test_language_is_sticky_and_bare_words_never_switch_it(text: str, sticky: str | None, language: str) -> None:
    assert detect(text, sticky).language == language
