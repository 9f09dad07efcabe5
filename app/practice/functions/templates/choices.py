"""Templates of functions that decide between a few answers."""

CHOICES = '''
== grade rating mark_for
? F({near HIGH})
? F({near LOW})
def F(points):
    """Return A from HIGH points, B from LOW points, and C below."""
    if points >= HIGH:
        return "A"
    if points >= LOW:
        return "B"
    return "C"
== shipping shipping_cost delivery_fee
? F({near M})
def F(total):
    """Return K for orders below M, and 0 from M on."""
    if total < M:
        return K
    return 0
== age_group ticket category
? F({near 12})
? F({near HIGH})
def F(age):
    """Return child below 12 years, adult below HIGH years, and senior from then on."""
    if age < 12:
        return "child"
    if age < HIGH:
        return "adult"
    return "senior"
== may_ride tall_enough can_enter
? F({near LOW})
def F(height):
    """Tell whether the height is at least LOW."""
    return height >= LOW
== can_vote may_vote is_adult
? F({near 18}, {text yes/no})
def F(age, registered):
    """Tell whether the age is at least 18 and registered is yes."""
    return age >= 18 and registered == "yes"
== is_weekend weekend free_day
? F({text sat/sun/mon/fri})
def F(day):
    """Tell whether the day is sat or sun."""
    return day == "sat" or day == "sun"
== traffic_light what_to_do light_action
? F({text red/green/yellow})
def F(color):
    """Return stop for red, go for green, and wait for any other color."""
    if color == "red":
        return "stop"
    if color == "green":
        return "go"
    return "wait"
== water_state state_of phase
? F({near 0})
? F({near 100})
def F(degrees):
    """Return ice below 0 degrees, steam above 100, and water between."""
    if degrees < 0:
        return "ice"
    if degrees > 100:
        return "steam"
    return "water"
== larger_of bigger max_of_two
? F({int 1 9}, {int 1 9})
def F(left, right):
    """Return the larger one of left and right."""
    if left > right:
        return left
    return right
== smaller_of lesser min_of_two
? F({int 1 9}, {int 1 9})
def F(left, right):
    """Return the smaller one of left and right."""
    if left < right:
        return left
    return right
== compare order_of which_first
? F({int 1 4}, {int 1 4})
def F(left, right):
    """Return less, equal or more, as left is compared with right."""
    if left < right:
        return "less"
    if left == right:
        return "equal"
    return "more"
== fizz fizz_word fizz_buzz
? F({one 3 5 7 9 10 15 30})
def F(number):
    """Return FizzBuzz for multiples of 15, Fizz for 3, Buzz for 5, else the number as text."""
    if number % 15 == 0:
        return "FizzBuzz"
    if number % 3 == 0:
        return "Fizz"
    if number % 5 == 0:
        return "Buzz"
    return str(number)
== parity odd_or_even kind_of_number
? F({int 1 30})
def F(number):
    """Return even or odd."""
    if number % 2 == 0:
        return "even"
    return "odd"
== speed_fine speeding ticket_for
? F({near M})
def F(speed):
    """Return K for each unit of speed above M, and 0 up to M."""
    if speed <= M:
        return 0
    return (speed - M) * K
== bulk_price order_price price_for
? F({near 10})
def F(number):
    """Return K for each; from 10 on, 2 less for all together."""
    price = number * K
    if number >= 10:
        price -= 2
    return price
== is_between within inside
? F({int 0 9}, {int 2 4}, {int 5 7})
def F(value, low, high):
    """Tell whether value is from low to high, both included."""
    return low <= value <= high
== outside out_of_range not_within
? F({int 0 9}, {int 2 4}, {int 5 7})
def F(value, low, high):
    """Tell whether value is less than low or greater than high."""
    return value < low or value > high
== triangle_kind sides_kind kind_of_triangle
? F({int 3 4}, {int 3 4}, {int 3 4})
def F(a, b, c):
    """Return equal if all sides are equal, two if two are, and none otherwise."""
    if a == b and b == c:
        return "equal"
    if a == b or b == c or a == c:
        return "two"
    return "none"
== login_state check_login may_log_in
? F({text ada/ben}, {text secret/wrong})
def F(user, password):
    """Return welcome for ada with the password secret, and denied otherwise."""
    if user == "ada" and password == "secret":
        return "welcome"
    return "denied"
== strong_password is_strong password_ok
? F({text abc1/abcdefgh1/abcdefghij/12345678})
def F(password):
    """Tell whether the password has at least 8 characters and a digit."""
    if len(password) < 8:
        return False
    for letter in password:
        if letter.isdigit():
            return True
    return False
== parse_answer read_answer to_flag
? F({text yes/no/Yes/maybe})
def F(text):
    """Return True for yes and False for no, in any case; else raise ValueError."""
    lowered = text.lower()
    if lowered == "yes":
        return True
    if lowered == "no":
        return False
    raise ValueError("neither yes nor no")
== checked_age valid_age read_age
? F({one -1 0 30 150 151 -5})
def F(age):
    """Return age; raise ValueError if it is negative or above 150."""
    if age < 0:
        raise ValueError("negative")
    if age > 150:
        raise ValueError("too old")
    return age
== month_days days_in length_of_month
? F({one 1 2 4 6 7 9 11 12})
def F(month):
    """Return 28 for month 2, 30 for months 4, 6, 9 and 11, and 31 for the others."""
    if month == 2:
        return 28
    if month in (4, 6, 9, 11):
        return 30
    return 31
== season season_of time_of_year
? F({one 1 2 3 5 6 8 9 11 12})
def F(month):
    """Return winter for months 12, 1 and 2, spring to 5, summer to 8, and autumn to 11."""
    if month == 12 or month <= 2:
        return "winter"
    if month <= 5:
        return "spring"
    if month <= 8:
        return "summer"
    return "autumn"
== rock_paper play_round duel
? F({text rock/paper}, {text paper/scissors/rock})
def F(mine, yours):
    """Return draw for the same, win if mine beats yours, and loss otherwise."""
    beats = {"rock": "scissors", "scissors": "paper", "paper": "rock"}
    if mine == yours:
        return "draw"
    if beats[mine] == yours:
        return "win"
    return "loss"
== apply_operation calculate compute
? F({text +/-/*}, {int 2 9}, {int 2 9})
def F(operator, left, right):
    """Return left and right added, subtracted or multiplied, as the operator says."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    raise ValueError(operator)
== first_given first_of fallback
? F(None, {int 1 9})
? F({int 1 9}, {int 1 9})
def F(left, right):
    """Return left, or right if left is None."""
    if left is None:
        return right
    return left
== nth_item item_at safe_item
? F({of 3}, {int 0 4})
def F(values, index):
    """Return the one of the values at index, or None if there is none."""
    if index >= len(values):
        return None
    return values[index]
== battery_level battery charge_state
? F({near LOW})
? F({near HIGH})
def F(percent):
    """Return low up to LOW percent, full from HIGH percent on, and good between."""
    if percent <= LOW:
        return "low"
    if percent >= HIGH:
        return "full"
    return "good"
== tip_for tip waiter_tip
? F({one 20 40 60 100}, {text good/bad})
def F(bill, service):
    """Return K percent of the bill for good service, and 0 otherwise."""
    if service == "good":
        return bill * K / 100
    return 0
'''
