"""Templates of functions over dictionaries and lists of them."""

RECORDS = '''
== merge merged combine
? F({counts}, {counts})
def F(base, extra):
    """Return both dictionaries in one; extra wins."""
    result = dict(base)
    for key, value in extra.items():
        result[key] = value
    return result
== invert inverted swap_keys
? F({counts})
def F(mapping):
    """Return a dictionary from the values of mapping to its keys."""
    result = {}
    for key, value in mapping.items():
        result[value] = key
    return result
== frequency count_each frequencies histogram
? F({few})
def F(values):
    """Count how often each of the values occurs."""
    result = {}
    for value in values:
        result[value] = result.get(value, 0) + 1
    return result
== order_total total_value invoice_total
? F({records KEYA KEYB})
def F(rows):
    """Return the sum of KEYA times KEYB over the rows."""
    total = 0
    for row in rows:
        total += row["KEYA"] * row["KEYB"]
    return total
== all_values pluck collect_field
? F({records KEYA KEYB})
def F(rows):
    """Return the KEYA of each of the rows."""
    return [row["KEYA"] for row in rows]
== select_above filter_records pick_above
? F({records KEYA:near-K KEYB})
def F(rows):
    """Return the rows whose KEYA is more than K."""
    return [row for row in rows if row["KEYA"] > K]
== find_by_id lookup get_record find_record
? F([{"id": 1, "name": "Ada"}, {"id": 2, "name": "Ben"}], {int 1 3})
def F(rows, target):
    """Return the one of the rows whose id is target, or None."""
    for row in rows:
        if row["id"] == target:
            return row
    return None
== active_names names_of_active enabled
? F({records name:word active:flag})
def F(rows):
    """Return the names of the rows that are active."""
    result = []
    for row in rows:
        if row["active"]:
            result.append(row["name"])
    return result
== count_active number_active how_many_active
? F({records name:word active:flag})
def F(rows):
    """Count the rows that are active."""
    count = 0
    for row in rows:
        if row["active"]:
            count += 1
    return count
== increment bump add_one
? F({counts}, "river")
? F({counts}, {maybe})
def F(mapping, key):
    """Return the mapping with one more for key, which may be new."""
    mapping[key] = mapping.get(key, 0) + 1
    return mapping
== highest_key best_key key_of_largest
? F({counts})
def F(mapping):
    """Return the key of mapping with the largest value."""
    best = None
    for key in mapping:
        if best is None or mapping[key] > mapping[best]:
            best = key
    return best
== sum_values total_of_values add_values
? F({counts})
def F(mapping):
    """Return the sum of the values in mapping."""
    total = 0
    for value in mapping.values():
        total += value
    return total
== sorted_keys keys_in_order list_keys
? F({counts})
def F(mapping):
    """Return the keys of mapping in alphabetical order."""
    return sorted(mapping.keys())
== adults grown_ups old_enough
? F({ages})
def F(ages):
    """Return the names of those who are 18 or older."""
    result = []
    for name, age in ages.items():
        if age >= 18:
            result.append(name)
    return result
== oldest oldest_name senior
? F({ages})
def F(ages):
    """Return the name of the oldest."""
    return max(ages, key=ages.get)
== full_price price_of cost_of
? F({record KEYA KEYB})
def F(row):
    """Return KEYA times KEYB of the row."""
    return row["KEYA"] * row["KEYB"]
== show_row row_text describe_row
? F({record name:word KEYA})
def F(row):
    """Return the name of the row, a colon, a space, and its KEYA."""
    return row["name"] + ": " + str(row["KEYA"])
== cheapest lowest_row least_row
? F([{"name": "pen", "KEYA": {int 1 9}}, {"name": "cup", "KEYA": {int 1 9}}])
def F(rows):
    """Return the name of the row with the smallest KEYA."""
    best = rows[0]
    for row in rows:
        if row["KEYA"] < best["KEYA"]:
            best = row
    return best["name"]
== group_by_length by_length length_groups
? F({words 3})
def F(words):
    """Return a dictionary from lengths to the words that have them."""
    result = {}
    for word in words:
        result.setdefault(len(word), []).append(word)
    return result
== index_words positions word_places
? F({words 3})
def F(words):
    """Return a dictionary from each of the words to its index."""
    result = {}
    for index, word in enumerate(words):
        result[word] = index
    return result
== from_pairs pairs_to_dict make_table
? F({pairs})
def F(pairs):
    """Return a dictionary of the pairs of key and value."""
    result = {}
    for key, value in pairs:
        result[key] = value
    return result
== only_keys keep_keys pick_keys
? F({"a": 1, "b": 2, "c": 3}, {one 1 2})
? F({counts}, 4)
def F(mapping, limit):
    """Return the entries of mapping whose value is at least limit."""
    result = {}
    for key, value in mapping.items():
        if value >= limit:
            result[key] = value
    return result
== get_or_default value_or fetch
? F({counts}, {maybe})
def F(mapping, key):
    """Return the value of key in mapping, or M if it is missing."""
    return mapping.get(key, M)
== has_all contains_keys is_complete
? F({record KEYA KEYB})
? F({"KEYA": 1})
def F(row):
    """Tell whether the row has both KEYA and KEYB."""
    return "KEYA" in row and "KEYB" in row
== average_of mean_field field_average
? F({records KEYA KEYB})
def F(rows):
    """Return the average KEYA of the rows."""
    total = 0
    for row in rows:
        total += row["KEYA"]
    return total / len(rows)
== raise_prices raised increase_all
? F({records name:word price})
def F(rows):
    """Add K to the price of each of the rows and return them."""
    for row in rows:
        row["price"] += K
    return rows
== total_weight load_of sum_of_weights
? F({records weight KEYB})
def F(rows):
    """Return the sum of the weight of the rows, and K for the box."""
    total = K
    for row in rows:
        total += row["weight"]
    return total
== names_in names_from people_in
? F({records name:word city:Rome/Oslo/Lima}, {text Rome/Oslo})
def F(rows, target):
    """Return the names of the rows whose city is target."""
    result = []
    for row in rows:
        if row["city"] == target:
            result.append(row["name"])
    return result
== swap_fields turned flipped_row
? F({record KEYA KEYB})
def F(row):
    """Return a new row with KEYA and KEYB exchanged."""
    return {"KEYA": row["KEYB"], "KEYB": row["KEYA"]}
== point_distance manhattan blocks_between
? F({record x y}, {record x y})
def F(here, there):
    """Return the distance in x plus the distance in y."""
    return abs(here["x"] - there["x"]) + abs(here["y"] - there["y"])
== winner_of winner best_player
? F({records name:word points})
def F(rows):
    """Return the name of the row with the most points."""
    best = rows[0]
    for row in rows:
        if row["points"] > best["points"]:
            best = row
    return best["name"]
== add_item with_item appended
? F({int 1 9}); F({int 1 9})
def F(new, values=None):
    """Return a list of the values with new at the end; a new list if none is given."""
    if values is None:
        values = []
    values.append(new)
    return values
== note_visit visit log_visit
? F({word}); F({word})
def F(key, mapping=None):
    """Count key in mapping and return it; a new one if none is given."""
    if mapping is None:
        mapping = {}
    mapping[key] = mapping.get(key, 0) + 1
    return mapping
== to_json as_json dump_row
? F({record KEYA KEYB})
! import json
def F(row):
    """Return the row as JSON, its keys in order."""
    return json.dumps(row, sort_keys=True)
== from_json read_json load_row
? F('{"KEYA": 3, "KEYB": 4}')
? F('{"KEYA": 7}')
! import json
def F(text):
    """Return the KEYA in a JSON text."""
    return json.loads(text)["KEYA"]
== tally_words common_words word_counts
? F({text a b a/red red blue/one two one})
! from collections import Counter
def F(text):
    """Return how often each word of text occurs."""
    return dict(Counter(text.split()))
'''
