package kafka

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1" // what PKCS#5 falls back to when a file names no hash
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
)

// encryptedKey is the type of a PEM block with a key that PKCS#8 encrypts.
const encryptedKey = "ENCRYPTED PRIVATE KEY"

var errWrongPassword = errors.New("cannot be opened: is ssl_password right?")

// decryptKey returns the key of a PEM file as PEM in the clear. It opens PKCS#8 (what `openssl genpkey -aes256` writes)
// and the older form with a DEK-Info header; a key that is not encrypted is returned as it is.
func decryptKey(file []byte, password Secret) ([]byte, error) {
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return file, nil // tls.X509KeyPair says what is wrong with it, if anything
		}
		older := block.Headers["DEK-Info"] != ""
		if !older && block.Type != encryptedKey {
			continue
		}
		if !password.IsSet() {
			return nil, errors.New("the key is encrypted: set ssl_password")
		}
		if !older {
			der, err := openPKCS8(block.Bytes, password)
			if err != nil {
				return nil, err
			}
			return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
		}
		//nolint:staticcheck // A file that exists has to be read; that its form is weak is for its owner to change.
		der, err := x509.DecryptPEMBlock(block, []byte(password.Reveal()))
		if err != nil {
			return nil, errWrongPassword
		}
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
	}
}

// The parts of RFC 5958 and RFC 8018 (PBES2) that are in use.
type (
	pkcs8 struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2 struct {
		Derivation, Encryption pkix.AlgorithmIdentifier
	}
	pbkdf2Parameters struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

// openPKCS8 decrypts an EncryptedPrivateKeyInfo: PBES2 with PBKDF2 and AES-CBC, the only form that tools still write.
func openPKCS8(der []byte, password Secret) ([]byte, error) {
	const maxIterations = 10_000_000 // seconds of work: more is an attack or damage
	var (
		outer      pkcs8
		scheme     pbes2
		derivation pbkdf2Parameters
		iv         []byte
	)
	if err := errors.Join(
		unmarshal(der, &outer),
		unmarshal(outer.Algorithm.Parameters.FullBytes, &scheme),
		unmarshal(scheme.Derivation.Parameters.FullBytes, &derivation),
		unmarshal(scheme.Encryption.Parameters.FullBytes, &iv),
	); err != nil {
		return nil, fmt.Errorf("not a form of encryption that can be opened (%w): write it again with `openssl pkcs8 "+
			"-topk8 -v2 aes256`", err)
	}
	keyLength, ok := map[string]int{
		"2.16.840.1.101.3.4.1.2": 16, "2.16.840.1.101.3.4.1.22": 24, "2.16.840.1.101.3.4.1.42": 32, // AES-CBC
	}[scheme.Encryption.Algorithm.String()]
	prf, known := map[string]func() hash.Hash{
		"":                    sha1.New,
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
	}[derivation.PRF.Algorithm.String()]
	switch {
	case !ok, !known, len(iv) != aes.BlockSize, len(outer.Data) == 0, len(outer.Data)%aes.BlockSize != 0,
		derivation.Iterations < 1, derivation.Iterations > maxIterations:
		return nil, errors.New("not a form of encryption that can be opened: write it again with `openssl pkcs8 -topk8 -v2 " +
			"aes256`")
	}
	key, err := pbkdf2.Key(prf, password.Reveal(), derivation.Salt, derivation.Iterations, keyLength)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	clear := make([]byte, len(outer.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(clear, outer.Data)
	padding := int(clear[len(clear)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, errWrongPassword
	}
	clear = clear[:len(clear)-padding]
	if _, err := x509.ParsePKCS8PrivateKey(clear); err != nil {
		return nil, errWrongPassword
	}
	return clear, nil
}

func unmarshal(der []byte, into any) error {
	_, err := asn1.Unmarshal(der, into)
	return err
}
