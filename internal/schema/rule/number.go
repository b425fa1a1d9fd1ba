package rule

import (
	"math/big"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// mostDigits is how many digits of a number are divided: what costs more than its length does is bounded.
const mostDigits = 4096

// multiple reports whether a number is a multiple of step. It is not known for a number of too many digits.
func multiple(d rawjson.Decimal, step *big.Rat) (whole, known bool) {
	if len(d.Digits) == 0 {
		return true, true
	}
	if len(d.Digits) > mostDigits {
		return false, false
	}
	n, _ := new(big.Int).SetString(string(d.Digits), 10)
	n.Mul(n, step.Denom()) // the number is n * 10^Exp / step.Num() steps
	divisor := new(big.Int).Set(step.Num())
	ten := big.NewInt(10)
	if d.Exp >= 0 {
		n.Mul(n, new(big.Int).Exp(ten, big.NewInt(d.Exp), divisor.Abs(divisor)))
		return n.Mod(n, divisor).Sign() == 0, true
	}
	if -d.Exp > int64(n.BitLen()) { // 10^-Exp has more digits than n
		return false, true
	}
	divisor.Mul(divisor, new(big.Int).Exp(ten, big.NewInt(-d.Exp), nil))
	return n.Mod(n, divisor).Sign() == 0, true
}
