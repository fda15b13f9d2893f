/// A little text of many kinds, so that quantizers run where no file is at hand. It is far too small for good
/// statistics of a large model, and users are told so.
enum BuiltInText {
  /// Tokens of a window of it, at most.
  static let length = 256

  static let text = """
    The harbour lay still under a thin fog when the first boats came back. Two men carried baskets of \
    herring up the stone steps, and a girl with a notebook counted them: forty-one, forty-two, forty-three. \
    "You missed one," said the older man. She shook her head and showed him the page, where every basket had \
    its own line, its weight in kilograms and the name of the boat that had brought it.

    A lake turns over twice a year. In autumn the water at the surface cools until it is as dense as the water \
    below, and the wind can mix the two; in spring the same thing happens as the ice goes. Oxygen reaches the \
    bottom and nutrients come up, which is why plankton blooms in April and again, more weakly, in October. \
    Water is densest at about 4 °C, so in winter the deepest layer is also the warmest.

    def mean(values):
        total = 0.0
        for value in values:
            total += value
        return total / len(values) if values else float("nan")

    class Stack:
        def __init__(self):
            self.items = []

        def push(self, item):
            self.items.append(item)

        def pop(self):
            if not self.items:
                raise IndexError("pop from an empty stack")
            return self.items.pop()

    Question: A train leaves at 9:40 and arrives at 13:05. How long does the journey take? \
    Answer: From 9:40 to 13:00 it is 3 hours and 20 minutes, and 5 minutes more make 3 hours and 25 minutes.

    Dear Ms Okafor, thank you for your letter of 12 March. We have looked into the delay and found that your \
    parcel was held at the sorting centre because the label could not be read. A new label has been printed, \
    and the parcel should reach you by Friday. We are sorry for the trouble and have refunded the postage of \
    $18.50. Please let us know if anything is still missing. Kind regards, the customer desk.

    To make the dough, mix 500 g of flour with 320 ml of lukewarm water, 10 g of salt and 3 g of dry yeast. \
    Knead it for ten minutes, cover the bowl and leave it overnight in a cool place. In the morning fold the \
    dough twice, let it rest for an hour, shape it into a round loaf and bake it at 240 °C for 35 minutes. The \
    crust should be dark, and the loaf should sound hollow when you knock on its base.

    | city | population | founded |
    | Lindau | 25 500 | 882 |
    | Bregenz | 29 700 | 15 BC |
    | Rorschach | 9 600 | 947 |

    In 1854 a physician named John Snow marked the deaths of a cholera outbreak on a map of Soho. The marks \
    crowded around one pump in Broad Street. He could not say what in the water did the harm, but he could show \
    that houses which drew their water elsewhere were spared, and the handle of the pump was taken off. It is \
    often told as the beginning of epidemiology, although Snow's own account is more careful than the legend.

    Let f be a continuous function on the closed interval [a, b] with f(a) < 0 < f(b). Consider the set S of all \
    x in [a, b] with f(x) < 0, and let c be its least upper bound. If f(c) were positive, f would be positive on \
    a small interval to the left of c, so c could not be the least upper bound; if f(c) were negative, f would be \
    negative a little to the right of c. Hence f(c) = 0.

    {"id": 1042, "status": "shipped", "items": [{"sku": "A-17", "count": 2, "price": 4.95}, {"sku": "B-03", \
    "count": 1, "price": 12.00}], "address": {"street": "14 Mill Lane", "city": "York"}, "gift": false}

    Der Zug nach Hamburg fährt heute von Gleis sieben ab und hat etwa zehn Minuten Verspätung. Wer umsteigen \
    muss, sollte sich an das Personal wenden. Le marché ouvre à huit heures, mais les meilleurs fruits partent \
    vite. La biblioteca cierra los domingos y los días festivos; los libros se pueden devolver en el buzón.

    He had always thought of the mountain as a single thing, a shape at the end of the road. Climbing it, he \
    found that it was many: a wood that smelled of resin, a slope of loose stones that moved under his boots, a \
    meadow where cows stood in the wind, and at last bare rock with a cross and a tin box in which strangers \
    had left their names. He wrote his own, closed the box, and only then looked back at the valley.

    SELECT customer, COUNT(*) AS orders, SUM(total) AS spent FROM orders WHERE placed >= '2023-01-01' \
    GROUP BY customer HAVING COUNT(*) > 3 ORDER BY spent DESC LIMIT 10;

    A: Did you hear what the committee decided? B: Not yet. I was in the workshop all morning. A: They want to \
    keep the old bridge and build a path for cyclists beside it. B: That's better than tearing it down, I \
    suppose. Who pays for it? A: Half comes from the county, and the rest is a loan over fifteen years.

    Photosynthesis stores the energy of light in sugar: six molecules of carbon dioxide and six of water become \
    one of glucose and six of oxygen. The light reactions split water and make ATP and NADPH; the Calvin cycle \
    uses both to fix carbon. Plants of hot, dry places have found ways around its weakness, an enzyme that \
    confuses oxygen with carbon dioxide: some take the gas in at night, others pump it into cells deep in the leaf.

    """
}
