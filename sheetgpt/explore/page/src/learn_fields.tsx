/** Fields of the form that says how a model learns. */
import * as numbers from "./numbers";

interface NumberFieldProps {
  readonly name: string;
  readonly value: number;
  readonly isRight: (value: number) => boolean;
  readonly onValue: (value: number) => void;
}

/** A number that is taken as it is typed, where it can be. */
export function NumberField({ name, value, isRight, onValue }: NumberFieldProps) {
  return (
    <label class="number-field">
      {name}
      <input
        inputMode="decimal"
        spellcheck={false}
        defaultValue={String(value)}
        onInput={(event) => {
          const typed = numbers.parse(event.currentTarget.value);
          const isTaken = typed !== null && isRight(typed);
          event.currentTarget.setAttribute("aria-invalid", String(!isTaken));
          if (isTaken) onValue(typed);
        }}
      />
    </label>
  );
}
