"""Templates of functions over text."""

TEXTS = '''
== reverse_text reversed_text backwards flip
? F({word})
def F(text):
    """Return text reversed.|The letters of text in reverse order."""
    result = ""
    for letter in text:
        result = letter + result
    return result
== is_palindrome palindrome same_backwards
? F({text Anna/level/Otto/robot/Noon/river})
def F(text):
    """Tell whether text reads the same backwards, ignoring case."""
    lowered = text.lower()
    return lowered == lowered[::-1]
== count_vowels vowels vowel_count
? F({title})
def F(text):
    """Count the vowels in text.|How many vowels text has."""
    count = 0
    for letter in text.lower():
        if letter in "aeiou":
            count += 1
    return count
== count_letter occurrences count_char
? F({word}, {letter})
def F(text, target):
    """Count how often target occurs in text."""
    count = 0
    for letter in text:
        if letter == target:
            count += 1
    return count
== word_count count_words number_of_words
? F({sentence})
def F(text):
    """Return the number of words in text.|Count the words of text."""
    return len(text.split())
== longest_word longest find_longest
? F({lengths 5})
def F(text):
    """Return the longest word in text."""
    best = ""
    for word in text.split():
        if len(word) > len(best):
            best = word
    return best
== shortest_word shortest find_shortest
? F({lengths 5})
def F(text):
    """Return the shortest word in text."""
    parts = text.split()
    best = parts[0]
    for word in parts:
        if len(word) < len(best):
            best = word
    return best
== initials get_initials first_letters
? F({sentence})
def F(text):
    """Return the first letter of every word in text, in upper case."""
    letters = [word[0].upper() for word in text.split()]
    return "".join(letters)
== shout loud yell emphasize
? F({word})
def F(text):
    """Return text in upper case with an exclamation mark."""
    return text.upper() + "!"
== whisper quiet soften
? F({title})
def F(text):
    """Return text in lower case, with three dots behind it."""
    return text.lower() + "..."
== say_again repeated echo
? F({word}, {int 2 4})
def F(text, times):
    """Return text repeated times times, separated by SEPNAME."""
    return "SEP".join([text] * times)
== join_words sentence_from glue
? F({words})
def F(words):
    """Return the words with a space between them and a full stop at the end."""
    return " ".join(words) + "."
== short_words words_up_to brief_words
? F({lengths K})
def F(text):
    """Return the words in text that have at most K letters."""
    result = []
    for word in text.split():
        if len(word) <= K:
            result.append(word)
    return result
== truncate shorten cut_text
? F({text abcd/abcdefghijkl/abcdef/abcdefgh})
def F(text):
    """Return at most K characters of text."""
    if len(text) > K:
        return text[:K]
    return text
== parse_pairs parse_settings read_pairs
? F("a={int 1 9};b={int 1 9}")
def F(text):
    """Turn text such as a=1;b=2 into a dictionary of whole numbers."""
    result = {}
    for word in text.split(";"):
        key, value = word.split("=")
        result[key] = int(value)
    return result
== parse_ints read_numbers to_numbers
? F("{int 1 30},{int 1 30},{int 1 30}")
def F(text):
    """Return the whole numbers in text, which are separated by commas."""
    return [int(word) for word in text.split(",")]
== clock_minutes minutes_of to_minutes
? F("{int 1 23}:{int 10 59}")
def F(text):
    """Return the minutes since midnight of a time such as 7:30."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
== clock_text format_time show_time
? F({int 60 900})
def F(seconds):
    """Return the seconds as minutes:seconds, with two digits for the seconds."""
    minutes = seconds // 60
    rest = seconds % 60
    return f"{minutes}:{rest:02d}"
== describe format_label label_of
? F({word}, {int 1 50})
def F(name, value):
    """Return the name and the value as name: value."""
    return name + ": " + str(value)
== greet greeting welcome
? F({name})
def F(name):
    """Return Hello, the name, and an exclamation mark.|Greet by name with Hello."""
    return "Hello, " + name + "!"
== full_name name_of whole_name
? F({name}, {title})
def F(first, last):
    """Return first and last name with a space between them."""
    return first + " " + last
== last_first index_name sort_name
? F({name}, {title})
def F(first, last):
    """Return the last name, a comma, and the first name."""
    return last + ", " + first
== user_name login account_name
? F({name}, {int 1 99})
def F(name, number):
    """Return the name in lower case with the number behind it."""
    return name.lower() + str(number)
== censor mask_word hide_word
? F({sentence}, "river")
? F("the river and the sea", {text river/sea})
def F(text, target):
    """Return text with stars in place of every target, as many as it has letters."""
    return text.replace(target, "*" * len(target))
== slug to_slug url_name
? F({text Green Tea/My First Book/A Day})
def F(text):
    """Return text in lower case with dashes in place of spaces."""
    return text.lower().replace(" ", "-")
== trim_lines clean_lines strip_all
? F([" {=word}", "{=word} ", "{=word}"])
def F(lines):
    """Return the lines without white space around them."""
    return [line.strip() for line in lines]
== file_ending extension suffix_of
? F({text notes.txt/photo.png/a.b.py/plain})
def F(name):
    """Return what comes after the last dot of name, or an empty text."""
    if "." not in name:
        return ""
    return name.split(".")[-1]
== base_name without_ending stem
? F({text notes.txt/photo.png/code.py})
def F(name):
    """Return what comes before the first dot of name."""
    return name.split(".")[0]
== capitalize_all title_words big_initials
? F({sentence})
def F(text):
    """Return text with a capital letter at the start of every word."""
    return " ".join(word.capitalize() for word in text.split())
== reverse_words words_backwards last_word_first
? F({sentence})
def F(text):
    """Return the words of text in reverse order."""
    words = text.split()
    words.reverse()
    return " ".join(words)
== starts_same same_start alike
? F({text river/apple/Anna}, {text robot/Apple/anna})
def F(left, right):
    """Tell whether left and right begin with the same letter."""
    return left[0] == right[0]
== pad_left right_align indent_to
? F({text a/ab/abcd}, {int 4 7})
def F(text, width):
    """Return text with spaces before it, width characters in all."""
    return " " * (width - len(text)) + text
== box boxed framed
? F({word})
def F(text):
    """Return text between square brackets.|Put text into square brackets."""
    return "[" + text + "]"
== caesar shift_letter next_letter
? F({text a/b/m/p}, {int 1 5})
def F(letter, steps):
    """Return the letter that comes steps later in the alphabet."""
    return chr(ord(letter) + steps)
== only_digits digits_of keep_digits
? F({text a1b2/12 34/x9y/no 7})
def F(text):
    """Return the digits in text, as text."""
    result = ""
    for letter in text:
        if letter.isdigit():
            result += letter
    return result
== without_vowels drop_vowels consonants
? F({word})
def F(text):
    """Return text without its vowels."""
    result = ""
    for letter in text:
        if letter not in "aeiou":
            result += letter
    return result
== plural make_plural plural_of
? F({int 0 3}, {word})
def F(number, word):
    """Return the number and the word, with an s at its end unless number is 1."""
    if number == 1:
        return f"{number} {word}"
    return f"{number} {word}s"
== is_shouting all_upper is_loud
? F({text RIVER/River/OH NO/calm})
def F(text):
    """Tell whether text has capital letters only."""
    return text == text.upper()
== csv_line to_row comma_line
? F({words}, {int 1 9})
def F(words, number):
    """Return the words and the number, separated by commas."""
    return ",".join(words) + "," + str(number)
== first_line top_line headline
? F({text one/two})
? F("{=word}\\n{=word}")
def F(text):
    """Return the first line of text."""
    return text.split("\\n")[0]
== money_text price_text show_price
? F({int 1 90}, {int 10 99})
def F(units, cents):
    """Return the price as units.cents with a dollar sign before it."""
    return "$" + str(units) + "." + str(cents)
'''
