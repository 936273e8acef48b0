public class Broken {
    int number = "text";
}
