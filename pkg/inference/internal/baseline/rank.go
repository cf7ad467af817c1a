package baseline

// ranked is the one of some values that has a rank, counted from zero for the smallest. It
// puts them in another order, and takes about as many steps as there are values (quickselect,
// Hoare 1961).
func ranked(values []float64, rank int) float64 {
	lo, hi := 0, len(values)-1
	for lo < hi {
		pivot := values[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case rank <= j:
			hi = j
		case rank >= i:
			lo = i
		default:
			return values[rank]
		}
	}
	return values[rank]
}

// middle is the lower median of values, which it puts in another order.
func middle(values []float64) float64 { return ranked(values, (len(values)-1)/2) }
