"""Templates of classes that keep something."""

CLASSES = '''
== Account Wallet Purse Balance
? a = F({int 30 60}); a.deposit({int 1 9}); a.amount
? a = F({int 30 60}); a.withdraw({int 1 9}); a.amount
? a = F({int 1 9}); a.withdraw({int 10 20})
class F:
    """Keeps an amount of money; raises ValueError when it is not enough."""

    def __init__(self, amount):
        self.amount = amount

    def deposit(self, money):
        self.amount += money

    def withdraw(self, money):
        if money > self.amount:
            raise ValueError("not enough money")
        self.amount -= money
== Stack Pile Tower
? a = F(); a.push({int 1 9}); a.size()
? a = F(); a.push({int 1 9}); a.push({int 1 9}); a.pop()
class F:
    """Last in, first out."""

    def __init__(self):
        self.things = []

    def push(self, thing):
        self.things.append(thing)

    def pop(self):
        return self.things.pop()

    def size(self):
        return len(self.things)
== Queue Line Waiting
? a = F(); a.add({int 1 9}); a.add({int 1 9}); a.take()
? a = F(); a.add({int 1 9}); len(a.things)
class F:
    """First in, first out."""

    def __init__(self):
        self.things = []

    def add(self, thing):
        self.things.append(thing)

    def take(self):
        return self.things.pop(0)
== Counter Clicker Tally
? a = F(); a.click(); a.click(); a.count
? a = F(); a.click(); a.reset(); a.count
class F:
    """Counts clicks from 0, in steps of K."""

    def __init__(self):
        self.count = 0

    def click(self):
        self.count += K

    def reset(self):
        self.count = 0
== Rectangle Box Field
? F({int 2 9}, {int 2 9}).area()
? F({int 2 9}, {int 2 9}).perimeter()
class F:
    """A rectangle of some width and height."""

    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def perimeter(self):
        return 2 * (self.width + self.height)
== Point Spot Position
? a = F({int 1 9}, {int 1 9}); a.move({int 1 4}, {int 1 4}); (a.x, a.y)
class F:
    """A point that moves by some steps right and up."""

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def move(self, right, up):
        self.x += right
        self.y += up
== Person Member Guest
? F({name}, {int 10 60}).label()
? a = F({name}, {int 10 60}); a.birthday(); a.age
class F:
    """Somebody with a name and an age; the label is name (age)."""

    def __init__(self, name, age):
        self.name = name
        self.age = age

    def birthday(self):
        self.age += 1

    def label(self):
        return self.name + " (" + str(self.age) + ")"
== Cart Basket Order
? a = F(); a.add({int 2 9}, {int 2 5}); a.total
? a = F(); a.add({int 2 9}, 1); a.add({int 2 9}, 2); a.total
class F:
    """Adds up prices times how many there are of each."""

    def __init__(self):
        self.total = 0

    def add(self, price, number):
        self.total += price * number
== Lamp Light Switch
? a = F(); a.press(); a.on
? a = F(); a.press(); a.press(); a.on
class F:
    """Is off at first; each press changes that."""

    def __init__(self):
        self.on = False

    def press(self):
        self.on = not self.on
== Thermostat Heater Oven
? F({int 10 30}).heats({int 10 30})
? a = F({int 10 30}); a.warmer(); a.target
class F:
    """Heats while it is colder than the target; warmer adds K to that."""

    def __init__(self, target):
        self.target = target

    def warmer(self):
        self.target += K

    def heats(self, degrees):
        return degrees < self.target
== Bag Shelf Drawer
? a = F(2); a.put({word}); a.is_full()
? a = F(2); a.put({word}); a.put({word}); a.is_full()
class F:
    """Holds so many things and no more."""

    def __init__(self, room):
        self.room = room
        self.things = []

    def put(self, thing):
        self.things.append(thing)

    def is_full(self):
        return len(self.things) >= self.room
== Score Scoreboard Points
? a = F(); a.win(); a.win(); a.lose(); a.points
class F:
    """Starts at M points; a win adds K, a loss takes 1."""

    def __init__(self):
        self.points = M

    def win(self):
        self.points += K

    def lose(self):
        self.points -= 1
== Phonebook Contacts Directory
? a = F(); a.add({name}, {int 100 999}); a.size()
? a = F(); a.add("Ada", {int 100 999}); a.find("Ada")
? a = F(); a.find({name})
class F:
    """Numbers by name; None for a name that is not there."""

    def __init__(self):
        self.numbers = {}

    def add(self, name, number):
        self.numbers[name] = number

    def find(self, name):
        return self.numbers.get(name)

    def size(self):
        return len(self.numbers)
== Clock Watch Timer
? a = F({int 1 20}, {int 50 59}); a.tick(); (a.hour, a.minute)
? a = F({int 1 20}, {int 1 40}); a.tick(); (a.hour, a.minute)
class F:
    """Each tick is a minute; after minute 59 comes the next hour."""

    def __init__(self, hour, minute):
        self.hour = hour
        self.minute = minute

    def tick(self):
        self.minute += 1
        if self.minute == 60:
            self.minute = 0
            self.hour += 1
== Average Mean Meter
? a = F(); a.add({int 1 9}); a.add({int 1 9}); a.value()
? F().value()
class F:
    """The average of what was added, 0 before anything was."""

    def __init__(self):
        self.values = []

    def add(self, value):
        self.values.append(value)

    def value(self):
        if not self.values:
            return 0
        return sum(self.values) / len(self.values)
== Game Puzzle Quiz
? a = F("river"); a.guess("river")
? a = F("river"); a.guess("stone"); a.tries
class F:
    """Tells whether a guess is right, and counts the tries."""

    def __init__(self, word):
        self.word = word
        self.tries = 0

    def guess(self, word):
        self.tries += 1
        return word == self.word
== Tank Barrel Bottle
? a = F({int 20 30}); a.fill({int 5 50}); a.level
? a = F(20); a.fill({int 5 19}); a.free()
class F:
    """Holds at most its size; what is too much is lost."""

    def __init__(self, size):
        self.size = size
        self.level = 0

    def fill(self, amount):
        self.level = min(self.size, self.level + amount)

    def free(self):
        return self.size - self.level
== Playlist Program Agenda
? a = F([{word}, {word}]); a.next()
? a = F(["one", "two"]); a.next(); a.next(); a.next()
class F:
    """Gives one title after the other, and begins again after the last."""

    def __init__(self, titles):
        self.titles = titles
        self.place = 0

    def next(self):
        title = self.titles[self.place]
        self.place = (self.place + 1) % len(self.titles)
        return title
== Ticket Fare Trip
? F({int 2 9}, {near 12}).price()
class F:
    """A trip of some zones; those under 12 years pay half of K a zone, rounded down."""

    def __init__(self, zones, age):
        self.zones = zones
        self.age = age

    def price(self):
        full = self.zones * K
        if self.age < 12:
            return full // 2
        return full
'''
