"""Templates of functions over lists of numbers."""

LISTS = '''
== total add_up sum_of grand_total
? F({ints})
def F(values):
    """Return the sum of the values.|Add up all values."""
    total = 0
    for value in values:
        total += value
    return total
== product multiply_all product_of
? F({positive})
def F(values):
    """Return the product of the values.|Multiply all values together."""
    total = 1
    for value in values:
        total *= value
    return total
== count_above number_above count_over
? F({ints}, {member})
def F(values, limit):
    """Count the values greater than limit.|How many values are above limit."""
    count = 0
    for value in values:
        if value > limit:
            count += 1
    return count
== count_below number_below count_under
? F({ints}, {member})
def F(values, limit):
    """Count the values less than limit.|How many values are below limit."""
    count = 0
    for value in values:
        if value < limit:
            count += 1
    return count
== count_at_least passing number_passing
? F({around M})
def F(values):
    """Count the values that are at least M.|How many values are M or more."""
    count = 0
    for value in values:
        if value >= M:
            count += 1
    return count
== average mean mean_of avg
? F({maybe_empty})
def F(values):
    """Return the average of the values, or 0 if there are none.|Mean of values; 0 for an empty list."""
    if not values:
        return 0
    return sum(values) / len(values)
== largest biggest maximum highest
? F({ints})
def F(values):
    """Return the largest of the values.|The biggest value in values."""
    best = values[0]
    for value in values[1:]:
        if value > best:
            best = value
    return best
== smallest lowest minimum least
? F({ints})
def F(values):
    """Return the smallest of the values.|The lowest value in values."""
    best = values[0]
    for value in values:
        if value < best:
            best = value
    return best
== index_of find_index position_of locate
? F({distinct}, {maybe})
def F(values, target):
    """Return the index of target in values, or -1 if it is missing."""
    for index, value in enumerate(values):
        if value == target:
            return index
    return -1
== evens even_only keep_even even_numbers
? F({ints})
def F(values):
    """Return the even values.|Keep only the even values."""
    return [value for value in values if value % 2 == 0]
== odds odd_only keep_odd
? F({ints})
def F(values):
    """Return the odd values.|Keep only the odd values."""
    result = []
    for value in values:
        if value % 2 == 1:
            result.append(value)
    return result
== multiples divisible keep_multiples
? F({multiples K})
def F(values):
    """Return the values divisible by K.|Keep the multiples of K."""
    return [value for value in values if value % K == 0]
== positives positive_only keep_positive
? F({signed})
def F(values):
    """Return the values greater than zero.|Only the positive values."""
    result = []
    for value in values:
        if value > 0:
            result.append(value)
    return result
== scale scaled multiply_each times
? F({ints})
def F(values):
    """Return every one of the values multiplied by K.|Multiply each value by K."""
    return [value * K for value in values]
== shift shifted add_to_each raise_each
? F({ints})
def F(values):
    """Return the values with K added to each.|Add K to every value."""
    result = []
    for value in values:
        result.append(value + K)
    return result
== squares squared square_all
? F({ints})
def F(values):
    """Return the squares of the values.|Square each value."""
    return [value ** 2 for value in values]
== running_total running_totals cumulative
? F({ints})
def F(values):
    """Return the running totals of the values."""
    result = []
    so_far = 0
    for value in values:
        so_far += value
        result.append(so_far)
    return result
== differences steps gaps
? F({ints})
def F(values):
    """Return the difference of each of the values to the one before it."""
    result = []
    for index in range(1, len(values)):
        result.append(values[index] - values[index - 1])
    return result
== chunks split_every groups_of batches
? F({of 5}, {int 2 3})
def F(values, size):
    """Split values into lists of size elements; the last may be shorter."""
    result = []
    for index in range(0, len(values), size):
        result.append(values[index:index + size])
    return result
== flatten flat concat_all
? F({lists})
def F(lists):
    """Return the elements of all lists as one list."""
    result = []
    for inner in lists:
        for value in inner:
            result.append(value)
    return result
== unique without_repeats dedupe
? F({few})
def F(values):
    """Return the values without repeats, in the order they first occur."""
    result = []
    for value in values:
        if value not in result:
            result.append(value)
    return result
== second_largest runner_up second_best
? F({distinct})
def F(values):
    """Return the second largest of the values."""
    ordered = sorted(values)
    return ordered[-2]
== median middle middle_value
? F({distinct 5})
def F(values):
    """Return the middle one of the values in sorted order."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
== first_n take head take_first
? F({of 5}, {int 1 3})
def F(values, number):
    """Return the first number of the values."""
    return values[:number]
== last_n tail take_last
? F({of 5}, {int 1 3})
def F(values, size):
    """Return the last size of the values."""
    return values[-size:]
== rotate rotated turn_left
? F({of 5}, {int 1 3})
def F(values, steps):
    """Move the first steps of the values to the end."""
    return values[steps:] + values[:steps]
== dot dot_product weighted_sum
? F({of 3}, {of 3})
def F(left, right):
    """Return the sum of the products of the pairs of left and right."""
    total = 0
    for m, n in zip(left, right):
        total += m * n
    return total
== row_sums sum_rows totals_by_row
? F({grid})
def F(grid):
    """Return the sum of each row of the grid."""
    result = []
    for line in grid:
        result.append(sum(line))
    return result
== diagonal diagonal_of corner_to_corner
? F({square})
def F(grid):
    """Return the values on the diagonal of a square grid, from the top left on."""
    result = []
    for index in range(len(grid)):
        result.append(grid[index][index])
    return result
== column column_of nth_column
? F({square}, {int 0 2})
def F(grid, index):
    """Return the column of the grid at index."""
    return [line[index] for line in grid]
== swap_ends exchange_ends flip_ends
? F({distinct})
def F(values):
    """Return the values with the first and the last exchanged."""
    copy = list(values)
    copy[0], copy[-1] = copy[-1], copy[0]
    return copy
== count_pairs pairs_with_sum pair_count
? F({of 4}, {int 8 24})
def F(values, target):
    """Count the pairs of values whose sum is target."""
    count = 0
    for index in range(len(values)):
        for other in range(index + 1, len(values)):
            if values[index] + values[other] == target:
                count += 1
    return count
== descending_order ranked sort_down
? F({distinct})
def F(values):
    """Return the values sorted from the largest to the smallest."""
    return sorted(values, reverse=True)
== all_above every_above all_over
? F([5, 7, 9], {int 3 6})
def F(values, limit):
    """Tell whether all values are greater than limit."""
    for value in values:
        if value <= limit:
            return False
    return True
== any_negative has_negative contains_negative
? F({signed})
def F(values):
    """Tell whether any of the values is negative."""
    for value in values:
        if value < 0:
            return True
    return False
== is_sorted in_order ascending
? F({sorted})
? F({distinct})
def F(values):
    """Tell whether no one of the values is less than the one before it."""
    for index in range(1, len(values)):
        if values[index] < values[index - 1]:
            return False
    return True
== binary_search search_sorted bisect_find
? F({sorted}, {maybe})
def F(values, target):
    """Return the index of target in the sorted values, or -1."""
    low = 0
    high = len(values) - 1
    while low <= high:
        middle = (low + high) // 2
        if values[middle] == target:
            return middle
        if values[middle] < target:
            low = middle + 1
        else:
            high = middle - 1
    return -1
== spread spread_of value_range
? F({ints})
def F(values):
    """Return the largest of the values minus the smallest."""
    return max(values) - min(values)
== interleave alternate zip_lists
? F({of 3}, {of 3})
def F(left, right):
    """Return one of left, one of right, and so on, as one list."""
    result = []
    for m, n in zip(left, right):
        result.append(m)
        result.append(n)
    return result
== without drop_value remove_all
? F({few}, {int 1 3})
def F(values, target):
    """Return the values that are not target."""
    return [value for value in values if value != target]
== count_equal times_seen occurrences_of
? F({few}, {int 1 3})
def F(values, target):
    """Count how many of the values equal target."""
    count = 0
    for value in values:
        if value == target:
            count += 1
    return count
== every_nth thin_out sample_every
? F({of 5}, {int 2 3})
def F(values, step):
    """Return every one of the values whose index is a multiple of step."""
    result = []
    for index, value in enumerate(values):
        if index % step == 0:
            result.append(value)
    return result
== replace_negatives clip_low no_negatives
? F({signed})
def F(values):
    """Return the values, with 0 in place of those less than 0."""
    result = []
    for value in values:
        if value < 0:
            result.append(0)
        else:
            result.append(value)
    return result
== middle_part without_ends inner_part
? F({of 5})
def F(values):
    """Return the values without the first and the last."""
    return values[1:-1]
== largest_index index_of_largest peak
? F({distinct 4})
def F(values):
    """Return the index of the largest of the values."""
    best = 0
    for index in range(len(values)):
        if values[index] > values[best]:
            best = index
    return best
'''
