"""Short texts in many scripts, and their words as a reader sees them where the script or the sign shows them."""

FULL_WIDTH = "ＡＢＣ１２３ ｇｏｏｄ ｶﾞｲﾄﾞ"  # noqa: RUF001 - full-width signs are what is tried
ZERO_WIDTH = "go\u00adod می\u200cخواهم"  # noqa: RUF001 - invisible characters are what is tried
CHINESE = "房间很干净，但是早餐很差。"  # noqa: RUF001 - its comma is full-width
TEXTS = {
    "english": "The room isn't bad. It costs 3.50, not more!",
    "chinese": CHINESE,
    "japanese": "これはペンです。",
    "thai": "อาหารดีมากน้ำดื่มฟรี",
    "khmer": "បន្ទប់ស្អាត",
    "arabic": "الغرفة نظيفة جدا.",
    "hindi": "कमरा बहुत साफ है।",
    "portuguese": "O café da manhã não estava bom; guarda-chuva, d'água",
    "accents": "e\u0301te\u0301 très bon",
    "marks": "الغُرْفَةُ جدًّا הַחֶדֶר",
    "korean": "방이 깨끗하고 좋았어요",
    "emoji": "ok 👍🏽 👨‍👩‍👧 🏳️‍🌈 🇧🇷🇩🇪 ❤️ !",
    "full width": FULL_WIDTH,
    "zero width": ZERO_WIDTH,
}
WORDS = {
    "english": ["The", "room", "isn't", "bad", ".", "It", "costs", "3.50", ",", "not", "more", "!"],
    "chinese": list(CHINESE),
    "arabic": ["الغرفة", "نظيفة", "جدا", "."],
    "hindi": ["कमरा", "बहुत", "साफ", "है", "।"],
    "portuguese": "O café da manhã não estava bom ; guarda - chuva , d'água".split(),
    "accents": ["e\u0301te\u0301", "très", "bon"],
    "marks": ["الغُرْفَةُ", "جدًّا", "הַחֶדֶר"],
    "korean": ["방이", "깨끗하고", "좋았어요"],
    "emoji": ["ok", "👍🏽", "👨‍👩‍👧", "🏳️‍🌈", "🇧🇷", "🇩🇪", "❤️", "!"],
    "full width": FULL_WIDTH.split(),
    "zero width": ZERO_WIDTH.split(),
}
