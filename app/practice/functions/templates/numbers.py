"""Templates of functions over single numbers."""

NUMBERS = '''
== clamp limit_to bounded keep_between
? F({int -5 25}, {int 0 5}, {int 10 15})
def F(value, low, high):
    """Return value, but not less than low and not more than high."""
    if value < low:
        return low
    if value > high:
        return high
    return value
== discounted apply_discount reduced_price
? F({one 50 80 120 200 300}, {one 5 10 20 25 50})
def F(price, percent):
    """Return the price reduced by percent.|Take percent off the price."""
    cut = price * percent / 100
    return price - cut
== with_tax add_tax gross price_with_tax
? F({one 20 50 80 120 200})
def F(price):
    """Return the price with M percent tax added.|Add M percent tax to the price."""
    tax = price * M / 100
    return price + tax
== to_seconds seconds_of total_seconds
? F({int 1 5}, {int 1 59}, {int 1 59})
def F(hours, minutes, seconds):
    """Return how many seconds the hours, minutes and seconds are."""
    return hours * 3600 + minutes * 60 + seconds
== fahrenheit to_fahrenheit celsius_to_fahrenheit
? F({int -10 40})
def F(celsius):
    """Convert degrees Celsius to Fahrenheit: times 9, divided by 5, plus 32."""
    return celsius * 9 / 5 + 32
== celsius to_celsius fahrenheit_to_celsius
? F({one 32 41 50 212 14 59})
def F(degrees):
    """Convert degrees Fahrenheit to Celsius: minus 32, times 5, divided by 9."""
    return (degrees - 32) * 5 / 9
== to_pieces count_pieces pieces_in
? F({int 2 12})
def F(boxes):
    """Return how many pieces are in the boxes; there are M in each."""
    return boxes * M
== factorial fact product_up_to
? F({int 3 7})
def F(number):
    """Return the product of the numbers from 1 to number."""
    total = 1
    for index in range(2, number + 1):
        total *= index
    return total
== fibonacci fib nth_fibonacci
? F({int 3 12})
def F(number):
    """Return the Fibonacci number at that place, counted from 0: 0, 1, 1, 2, 3, ..."""
    before, now = 0, 1
    for _ in range(number):
        before, now = now, before + now
    return before
== sum_to sum_up_to triangle
? F({int 3 12})
def F(number):
    """Return the sum of the numbers from 1 to number."""
    total = 0
    for index in range(1, number + 1):
        total += index
    return total
== power raise_to to_the_power
? F({int 2 5}, {int 2 5})
def F(base, exponent):
    """Return base multiplied by itself exponent times."""
    total = 1
    for _ in range(exponent):
        total *= base
    return total
== gcd greatest_common_divisor common_divisor
? F({one 12 18 30 42}, {one 8 24 27 36})
def F(a, b):
    """Return the greatest common divisor of a and b."""
    while b != 0:
        a, b = b, a % b
    return a
== digit_sum sum_of_digits sum_digits
? F({int 100 9999})
def F(number):
    """Return the sum of the digits of number."""
    total = 0
    while number > 0:
        total += number % 10
        number //= 10
    return total
== count_digits digits_in digit_count
? F({int 10 99999})
def F(number):
    """Return how many digits number has."""
    count = 0
    while number > 0:
        count += 1
        number //= 10
    return count
== is_prime prime check_prime
? F({one 1 2 3 4 9 11 15 17 21 23})
def F(number):
    """Tell whether number is a prime number."""
    if number < 2:
        return False
    for index in range(2, number):
        if number % index == 0:
            return False
    return True
== divisors find_divisors factors
? F({one 6 8 9 10 12})
def F(number):
    """Return all numbers that divide number, itself included."""
    result = []
    for index in range(1, number + 1):
        if number % index == 0:
            result.append(index)
    return result
== numbers_between inclusive_range span
? F({int 0 5}, {int 7 10})
def F(left, right):
    """Return the numbers from left to right, both included."""
    return list(range(left, right + 1))
== countdown count_down descending
? F({int 2 6})
def F(number):
    """Return the numbers from number down to 1."""
    result = []
    while number > 0:
        result.append(number)
        number -= 1
    return result
== rectangle_area area area_of
? F({int 2 9}, {int 2 9})
def F(width, height):
    """Return the area of a rectangle."""
    return width * height
== perimeter rectangle_perimeter fence_length
? F({int 2 9}, {int 2 9})
def F(width, height):
    """Return the perimeter of a rectangle: twice the sum of its sides."""
    return 2 * (width + height)
== circle_area disc_area round_area
? F({int 2 9})
! import math
def F(radius):
    """Return the area of a circle, rounded to two digits."""
    return round(math.pi * radius ** 2, 2)
== hypotenuse diagonal_length straight_distance
? F(3, 4)
? F({one 5 6}, {one 8 12})
! import math
def F(left, right):
    """Return the square root of the sum of the squares of left and right."""
    return math.sqrt(left ** 2 + right ** 2)
== pages_needed boxes_needed round_up
? F({int 5 60})
! import math
def F(number):
    """Return how many groups of K hold number things; the last may be partly full."""
    return math.ceil(number / K)
== full_boxes whole_groups complete_sets
? F({int 20 90})
def F(number):
    """Return how many groups of K can be filled with number things."""
    return number // K
== left_over leftover rest_of
? F({int 20 90})
def F(number):
    """Return how many of number things are left when groups of K are filled."""
    return number % K
== is_leap leap_year leap
? F({one 1900 2000 2004 2023 2100 2024})
def F(year):
    """Tell whether year is a leap year: divisible by 4, but not by 100 unless by 400."""
    if year % 400 == 0:
        return True
    if year % 100 == 0:
        return False
    return year % 4 == 0
== sign sign_of direction
? F({one -4 0 5 -1 1})
def F(value):
    """Return 1 for positive, -1 for negative value, and 0 for zero."""
    if value > 0:
        return 1
    if value < 0:
        return -1
    return 0
== checked require validate ensure_positive
? F({one -3 0 4 -1 7})
def F(value):
    """Return value; raise ValueError if it is negative."""
    if value < 0:
        raise ValueError("value must not be negative")
    return value
== in_percent percentage share_of
? F({int 1 20}, {one 20 25 40 50})
def F(part, whole):
    """Return what percentage of whole the part is."""
    if whole == 0:
        raise ValueError("nothing to share")
    return part * 100 / whole
== safe_divide ratio divide_or_none
? F({int 1 20}, {one 0 2 4 5})
def F(left, right):
    """Return left divided by right, or None if right is zero."""
    if right == 0:
        return None
    return left / right
== total_points score_game game_points
? F({int 2 6}, {int 2 6})
def F(wins, draws):
    """Return K points for each win and 1 point for each draw."""
    return wins * K + draws
== change_due change give_back
? F({int 10 30}, {int 5 25})
def F(paid, price):
    """Return what was paid minus the price; raise ValueError if it was not enough."""
    if paid < price:
        raise ValueError("not enough")
    return paid - price
== yearly_interest after_years interest
? F({one 100 200 500}, {one 2 5 10}, {int 2 4})
def F(money, percent, years):
    """Return the money after years with percent interest a year."""
    for _ in range(years):
        money += money * percent / 100
    return round(money, 2)
== distance_between gap_between apart
? F({int -9 20}, {int -9 20})
def F(left, right):
    """Return how far left and right are apart."""
    return abs(left - right)
== travel_time hours_needed time_for
? F({one 60 120 200 300}, {one 20 40 50})
def F(distance, speed):
    """Return how many hours the distance takes at that speed."""
    return distance / speed
== binary_digits to_binary as_bits
? F({int 2 40})
def F(number):
    """Return number in binary, as text."""
    text = ""
    while number > 0:
        text = str(number % 2) + text
        number //= 2
    return text
== collatz_steps hailstone_steps steps_to_one
? F({one 1 2 3 5 6 8 10 12})
def F(number):
    """Count the steps to 1: half of an even number, else three times it plus 1."""
    count = 0
    while number != 1:
        if number % 2 == 0:
            number //= 2
        else:
            number = number * 3 + 1
        count += 1
    return count
== wage pay_for weekly_pay
? F({one 30 40 41 45 50}, {int 10 20})
def F(hours, hourly):
    """Return the pay; hours beyond 40 count twice."""
    if hours > 40:
        return 40 * hourly + (hours - 40) * hourly * 2
    return hours * hourly
== fine late_fee overdue_fee
? F({int 0 12})
def F(days):
    """Return K for each day beyond 3, and 0 up to 3 days."""
    if days <= 3:
        return 0
    return (days - 3) * K
== wrap wrap_around on_the_clock
? F({int 0 40})
def F(hours):
    """Return the hour on a clock with 12 hours, where 0 stands for 12."""
    return hours % 12
'''
