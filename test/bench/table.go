package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Every row is printed as soon as it is known.

func heading(what string) {
	fmt.Printf("%-44s %12s  %-10s %s\n", what, "measured", "budget", "")
}

// row prints one figure, what it was taken over, and its budget, if there is
// one; a budget that is not met stands out.
func row(what, measured, over, budget string, met bool) {
	if budget != "" && !met {
		over = strings.TrimSuffix("OVER; "+over, "; ")
	}
	fmt.Println(strings.TrimRight(fmt.Sprintf("%-44s %12s  %-10s %s", what, measured, budget, over), " "))
}

// figure prints a row without a budget.
func figure(what, measured, over string) { row(what, measured, over, "", true) }

// notMeasured prints the row of a measurement that failed. Only the first line
// of the reason is in the row; a screen may follow it.
func notMeasured(what string, err error) {
	reason, rest, _ := strings.Cut(err.Error(), "\n")
	fmt.Printf("%-44s not measured: %s\n", what, reason)
	if rest != "" {
		fmt.Println(rest)
	}
}

// span prints the median of some times and says the slowest; budget 0 is none.
func span(what string, all []time.Duration, of string, budget time.Duration) {
	m := median(all)
	words := ""
	if budget > 0 {
		words = "<= " + budget.String()
	}
	over := fmt.Sprintf("median of %d %s, slowest %s", len(all), of, milliseconds(slices.Max(all)))
	row(what, milliseconds(m), over, words, budget == 0 || m <= budget)
}

// octets prints the median of some numbers of bytes.
func octets(what string, all []float64, of string, budget float64) {
	m := median(all)
	over := fmt.Sprintf("median of %d %s, most %.0f", len(all), of, slices.Max(all))
	row(what, fmt.Sprintf("%.0f", m), over, fmt.Sprintf("<= %.0f", budget), m <= budget)
}

// rate prints the median of some speeds; budget 0 is none.
func rate(what string, all []float64, of string, budget float64) {
	m := median(all)
	words := ""
	if budget > 0 {
		words = fmt.Sprintf(">= %.0f /s", budget)
	}
	over := fmt.Sprintf("median of %d %s, slowest %.0f /s", len(all), of, slices.Min(all))
	row(what, fmt.Sprintf("%.0f /s", m), over, words, budget == 0 || m >= budget)
}

// median returns the middle one, of an even number the higher of the two.
func median[T time.Duration | float64 | int](all []T) T {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func megabytes(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
