package apache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/kafkaesk/kafkaesk/internal/filelock"
)

// Version is the default version of Apache Kafka.
const Version = "4.1.1"

// pom makes Maven fetch the server, its command line tools (a separate artifact), and the logging library, which only
// Kafka's distribution includes. The two verbs are the version.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.github.kafkaesk</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>%[1]s</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>%[1]s</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
`

// versions matches a release of Apache Kafka. The version becomes part of a path and of Maven's project file.
var versions = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

// Fetch returns the directory with the jar files of a version of Kafka, such as "4.1.1": about 45 MB in the user's
// cache directory. The first call on a machine downloads them with Maven; concurrent calls, in any process, wait for
// it.
func Fetch(ctx context.Context, version string) (dir string, err error) {
	if !versions.MatchString(version) {
		return "", fmt.Errorf("apache: %q is not a version of Apache Kafka: want one like %s", version, Version)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("apache: finding the user's cache directory: %w", err)
	}
	cache = filepath.Join(cache, "kafkaesk")
	// The name depends on the content of the project file.
	project := fmt.Appendf(nil, pom, version)
	sum := sha256.Sum256(project)
	dir = filepath.Join(cache, fmt.Sprintf("apache-kafka-%s-%x", version, sum[:4]))
	if isDir(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("apache: creating the cache directory: %w", err)
	}
	lock, err := filelock.Wait(ctx, dir+".lock")
	if err != nil {
		return "", fmt.Errorf("apache: waiting for another process that downloads Kafka: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if isDir(dir) { // the other process has downloaded it
		return dir, nil
	}
	// The directory gets its final name when the download is complete.
	temp, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return "", fmt.Errorf("apache: creating a temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	jars := filepath.Join(temp, "jars")
	if err := maven(ctx, version, project, temp, jars); err != nil {
		return "", err
	}
	if err := os.Rename(jars, dir); err != nil {
		return "", fmt.Errorf("apache: keeping the download: %w", err)
	}
	return dir, nil
}

func maven(ctx context.Context, version string, project []byte, dir, jars string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("apache: downloading Apache Kafka %s needs Maven: install it (Debian: apt-get install maven): %w",
			version, err)
	}
	file := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(file, project, 0o600); err != nil {
		return fmt.Errorf("apache: writing Maven's project file: %w", err)
	}
	cmd := exec.CommandContext(ctx, mvn, "--quiet", "--batch-mode", "--file", file,
		"dependency:copy-dependencies", "-DoutputDirectory="+jars, "-DincludeScope=runtime")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apache: downloading Apache Kafka %s with Maven: %w\n%s", version, err, out)
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
