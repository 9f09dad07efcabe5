"""The words that practice repositories are varied with."""


def listed(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


WORDS = listed("""
    apple river stone cloud table green bread light mouse paper glass tiger lemon chair night ocean smile train
    plant music horse dream field piano robot window garden silver copper winter summer market bridge castle
    forest island pencil pocket rocket yellow
""")
NAMES = listed("Ada Ben Cleo Dora Emil Finn Gina Hugo Iris Jack Kira Liam Mona Nora Otto Pia")
MODULES = listed("""
    stats tools helpers utils core shop text mathx lists orders records report geometry words numbers billing
    game school store counter format parser logic survey sample library trips garden music kitchen
""")
# What a name in a template may become. Plural and singular go together.
PLURALS = tuple(
    (pair.partition(":")[0], pair.partition(":")[2])
    for pair in listed("""
        values:value numbers:number items:item nums:num scores:score prices:price amounts:amount points:point
        xs:x weights:weight sizes:size marks:mark counts:n readings:reading levels:level costs:cost ages:age
        lengths:length entries:entry data:d rates:rate heights:height sums:s
    """)
)
SYNONYMS = {
    "total": listed("total result acc out answer res found current running collected"),
    "result": listed("result out answer res found collected kept output made"),
    "count": listed("count hits seen tally matches how_many k"),
    "best": listed("best top winner chosen leader pick candidate"),
    "text": listed("text message phrase sentence string s title label line"),
    "word": listed("word part piece token chunk w"),
    "letter": listed("letter ch c char symbol"),
    "index": listed("index i j pos idx place"),
    "limit": listed("limit threshold bound cutoff"),
    "target": listed("target wanted goal needle"),
    "left": listed("left a first start x"),
    "right": listed("right b second end y"),
    "row": listed("row record entry rec"),
    "rows": listed("rows records entries table"),
    "number": listed("number n num value"),
    "mapping": listed("mapping table lookup pairs d"),
    "key": listed("key name k"),
    "money": listed("money amount sum_paid cash"),
}
