"""What the shop sells."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import migrations

# slug, name, tagline, hue
CATEGORIES = [
    ("lamps", "Lamps", "Warm light, close to where you sit.", 68),
    ("ceramics", "Ceramics", "Thrown by hand, fired twice.", 35),
    ("plants", "Plants", "Grown slowly, potted and ready.", 150),
    ("furniture", "Furniture", "Solid wood, few screws.", 245),
]

# category, sku, slug, name, price, hue, featured, material, size, summary, description
PRODUCTS = [
    (
        "lamps", "LMP-101", "halden-arc-lamp", "Halden arc lamp", "189.00", 75, True,
        "Powder-coated steel", "148 cm high, 96 cm reach",
        "A floor lamp that leans over the reading chair.",
        "The arc turns on its base, so the light follows the book and not the other way round. "
        "The shade is lined in white and hides the bulb from every seat in the room.",
    ),
    (
        "lamps", "LMP-102", "sund-dome-lamp", "Sund dome lamp", "79.90", 25, True,
        "Spun aluminium", "38 cm high, 30 cm across",
        "A table lamp with a wide dome and a soft edge.",
        "One sheet of aluminium, spun into a dome in a single go. It dims by touch, in as many "
        "steps as you have patience for.",
    ),
    (
        "lamps", "LMP-103", "mane-globe-lamp", "Måne globe lamp", "64.50", 95, False,
        "Opal glass, oak", "24 cm high, 20 cm across",
        "A small moon for the window sill.",
        "Mouth-blown opal glass on a foot of oiled oak. Bright enough to find your glasses, dim "
        "enough to leave on.",
    ),
    (
        "lamps", "LMP-104", "kro-pendant", "Kro pendant", "119.00", 200, True,
        "Enamelled steel", "34 cm across, 3 m cord",
        "The lamp above every good kitchen table.",
        "A bell of enamelled steel with a white inside. The cord is covered in cotton and long "
        "enough for an old ceiling.",
    ),
    (
        "ceramics", "CER-201", "ask-tall-vase", "Ask tall vase", "42.00", 205, False,
        "Stoneware", "31 cm high",
        "Holds three branches and a little water.",
        "A narrow neck keeps long stems where you put them. Glazed inside and out; the foot is "
        "left raw and sanded smooth.",
    ),
    (
        "ceramics", "CER-202", "bolge-bottle-vase", "Bølge bottle vase", "36.50", 40, True,
        "Stoneware", "22 cm high",
        "Round as a wave, for a single flower.",
        "The glaze is poured, not sprayed, and runs a little differently on each one.",
    ),
    (
        "ceramics", "CER-203", "morgen-mug", "Morgen mug", "14.90", 150, False,
        "Stoneware", "3 dl",
        "The first cup of the day.",
        "A handle for three fingers and a lip that does not drip. It goes into the dishwasher and "
        "the microwave.",
    ),
    (
        "ceramics", "CER-204", "dal-bowl", "Dal bowl", "28.00", 255, True,
        "Stoneware", "26 cm across",
        "For oranges, keys or salad.",
        "Wide and low, with a band of bare clay to hold it by. Two of them nest.",
    ),
    (
        "plants", "PLT-301", "monstera", "Monstera", "34.90", 150, True,
        "In a clay pot", "60 cm high",
        "Forgives nearly everything.",
        "Bright shade, water once a week, and a wipe of the leaves when you think of it. Expect a "
        "new leaf each month in summer.",
    ),
    (
        "plants", "PLT-302", "snake-plant", "Snake plant", "22.50", 245, False,
        "In a clay pot", "45 cm high",
        "Best left alone.",
        "It likes to be forgotten: water every three weeks, less in winter. Any window will do.",
    ),
    (
        "plants", "PLT-303", "column-cactus", "Column cactus", "18.90", 340, False,
        "In a clay pot", "28 cm high",
        "Sun, and next to nothing else.",
        "Ten years old and in no hurry. Give it the sunniest sill you have.",
    ),
    (
        "plants", "PLT-304", "little-olive-tree", "Little olive tree", "49.00", 105, True,
        "In a clay pot", "80 cm high",
        "Silver leaves for a bright corner.",
        "Outside from May to October, in a cool bright room in winter. It may bear; we promise "
        "nothing.",
    ),
    (
        "furniture", "FRN-401", "eik-chair", "Eik chair", "149.00", 245, True,
        "Oiled oak", "Seat 46 cm high",
        "A kitchen chair that stays for long evenings.",
        "Solid oak with a curved back, joined without a single screw. The seat is cut to sit on "
        "for hours.",
    ),
    (
        "furniture", "FRN-402", "trinn-stool", "Trinn stool", "69.00", 15, False,
        "Painted birch", "44 cm high",
        "Seat, step and bedside table.",
        "Three legs stand firm on any floor. It carries 150 kg, so climb on it.",
    ),
    (
        "furniture", "FRN-403", "rund-side-table", "Rund side table", "129.00", 165, False,
        "Oak and steel", "52 cm high, 42 cm across",
        "Room for a lamp, a cup and a book.",
        "A round top with a raised edge, so that what rolls stays. It comes in two parts and goes "
        "together by hand.",
    ),
    (
        "furniture", "FRN-404", "hylle-shelf", "Hylle shelf", "89.50", 300, False,
        "Oiled oak", "80 x 62 cm",
        "Two boards and a bit of order.",
        "Hangs on two screws that you never see again. Each board carries 20 kg of books.",
    ),
]  # fmt: skip


def fill(apps: Any, schema_editor: Any) -> None:
    database = schema_editor.connection.alias
    category_model = apps.get_model("shop", "Category")
    product_model = apps.get_model("shop", "Product")
    categories = {}
    for position, (slug, name, tagline, hue) in enumerate(CATEGORIES):
        categories[slug] = category_model.objects.using(database).create(
            slug=slug, name=name, tagline=tagline, hue=hue, position=position
        )
    for row in PRODUCTS:
        category, sku, slug, name, price, hue, featured, material, size, summary, text = row
        product_model.objects.using(database).create(
            category=categories[category],
            sku=sku,
            slug=slug,
            name=name,
            price=Decimal(price),
            hue=hue,
            is_featured=featured,
            material=material,
            size=size,
            summary=summary,
            description=text,
        )


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
