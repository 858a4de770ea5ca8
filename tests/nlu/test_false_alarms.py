"""Ordinary requests and complaints that hold words of danger: none of them may alarm anybody."""

from datetime import UTC, datetime

import pytest

from nlu.understander import read_by_rules
from nlu.understanding import Hint

ORDINARY = [
    "quiero un duplicado de mi tarjeta de socio",
    "necesito un duplicado de la factura de la tarjeta de crédito",
    "quiero reponer mi tarjeta, se me perdió",
    "bloqueen mi cuenta de correo de promociones, no la uso",
    "¿cómo bloqueo mi tarjeta de puntos?",
    "se me quemó el arroz mientras esperaba que contestaran",
    "la página me mata la paciencia",
    "me muero de ganas de que llegue mi pedido",
    "me robaron tiempo, dos horas en la fila",
    "esto es un robo, la tarifa subió otra vez",
    "quiero cambiar mi contraseña, olvidé la clave",
    "me llamaron de su empresa a ofrecerme un plan",
    "necesito un certificado para la clínica",
    "¿tienen convenio con el hospital San José?",
    "mi hijo quiere cambiar el plan del celular",
    "mi hija cumple años y la torta llegó tarde",
    "el bebé necesita la silla del pedido 4411, ¿cuándo llega?",
    "pedí una cuna para mi bebé y llegó sin los tornillos",
    "solicito la grabación de la llamada con el asesor",
    "¿venden detectores de humo y de gas?",
    "la estufa a gas que compré no enciende",
    "necesito la revisión periódica de gas",
    "mi cargador no carga",
    "el celular se calienta un poco al cargar",
    "la batería dura poco",
    "me cortaron el servicio de luz ayer",
    "me cortaron la llamada tres veces",
    "el vestido me quedó de muerte, gracias",
    "el conductor llegó tarde",
    "la sangría de la fiesta estuvo buenísima",
    "necesito mi historia clínica",
    "quiero actualizar mi cédula y mi dirección",
    "comparten mis datos con terceros?",
    "me dieron mal el cambio en la caja",
    "compré un medicamento y quiero la factura",
    "¿hasta qué hora despachan medicamentos?",
    "la pastilla de freno que compré no es para mi moto",
    "el juguete de mi hija vino sin pilas",
    "mi abuela no puede subir las escaleras, ¿tienen ascensor?",
    "hay mucha demanda y nadie contesta",
    "demandó mucho tiempo la entrega",
    "soy abogado y necesito una copia del contrato",
    "mi jefe me va a matar si no llega la factura hoy",
    "necesito el paz y salvo para el juzgado",
    "publicaron mal el precio en la página",
    "vi su publicidad en redes sociales y quiero información",
    "no reconozco el sabor, cambiaron la receta",
    "el ascensor del local está dañado",
    "la caja llegó golpeada y el vidrio del cuadro roto",
    "me dejaron plantado con la instalación",
    "el niño que atiende fue muy amable",
    "compré vidrio templado para el celular y llegó roto",
    "la aguja de la máquina de coser llegó torcida",
    "quiero cancelar el seguro de vida",
    "cobran por el duplicado de la sim?",
    "perdí mi sim y quiero el duplicado",
    "me salió un cobro que no entiendo en la factura",
    "me siguen cobrando un seguro que ya cancelé",
    "I need a duplicate of my membership card",
    "someone from your store called me about my order",
    "I dropped my phone and the screen is broken",
    "the burger was burnt",
    "my son wants to change his plan",
    "the battery dies too fast",
    "this line is killing me",
    "I am dying to get my order",
    "the fire alarm I bought does not work",
    "I need a certificate for the hospital",
    "can you block my promotional e-mails",
    "I'd like to add my daughter to my account",
    "my account was opened last year and I need a statement",
    "the charge on my invoice is wrong",
    "I forgot my password",
    "the crib arrived without screws",
    "what is your policy on lost cards",
    "the medicine cabinet I bought has a scratch",
    "the driver asked for my phone number to call me at the door",
    "someone took my order by mistake",
    "I made a payment and it does not show",
    "quero uma segunda via do meu cartão de sócio",
    "perdi meu cartão de pontos e quero outro",
    "o motorista chegou atrasado",
    "minha filha quer mudar o plano",
    "esqueci minha senha",
    "o carregador não carrega",
    "o hambúrguer veio queimado",
    "estou morrendo de vontade de receber meu pedido",
    "a fila está me matando",
    "preciso de um atestado para o hospital",
    "o berço do bebê veio sem parafusos",
    "isso é um roubo, que preço",
    "o remédio que comprei veio sem nota fiscal",
    "qual é o horário de entrega de remédios",
    "o elevador da loja não funciona",
    "meu filho adorou o brinquedo",
    "passei meu cpf no caixa e não veio a nota",
    "quero cancelar o seguro de vida",
    "o gás do ar condicionado acabou",
    "cobraram duas vezes o pix da loja",
]
REAL = [
    "hicieron un duplicado de mi sim y me vaciaron la cuenta",
    "alguien sacó un duplicado de la tarjeta sin mi permiso",
    "clonaron mi tarjeta",
    "sangró mucho la mano",
    "los voy a demandar",
    "compartieron mis datos con otra empresa",
    "lo voy a publicar en redes sociales",
]
HINT = Hint(now=datetime(2026, 3, 2, 14, 30, tzinfo=UTC), language=None, country="CO")


@pytest.mark.parametrize("text", ORDINARY)
def test_what_is_ordinary_alarms_nobody(text: str) -> None:
    understood = read_by_rules(text, HINT).understanding
    assert [trigger.text for trigger in understood.triggers] == []
    assert not understood.human_now


@pytest.mark.parametrize("text", REAL)
def test_what_is_meant_still_does(text: str) -> None:
    assert read_by_rules(text, HINT).understanding.triggers
